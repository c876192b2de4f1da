"""WeNet's layout (train.yaml, units.txt, global_cmvn, final.pt) -> a published version."""

from pathlib import Path

from model_store.artifacts.manifest import Decoder, Manifest, Source
from model_store.artifacts.store import ArtifactStore
from model_store.artifacts.torch_checkpoint import read_torch_checkpoint
from model_store.artifacts.unpickling import Array
from model_store.errors import ImportFailed
from model_store.importers.cmvn import no_normalisation, normalised_before, read_cmvn, with_statistics
from model_store.importers.config import read_yaml
from model_store.importers.foreign import bring_in, language_of_recogniser
from model_store.importers.publishing import Draft
from model_store.importers.request import Imported, ImportRequest
from model_store.importers.sources import digests, needed_file
from model_store.importers.tensors import TORCH, convert_tensors
from model_store.importers.vocabulary import check_units, has_pieces, read_units
from model_store.importers.wenet_config import WenetConfig, read_config
from model_store.nets.models import build, shapes
from model_store.predictors.tokens import TokenTable

LAYOUT = "wenet"
CONFIG_FILE, TABLE_FILE, CMVN_FILE, CHECKPOINT_FILE = "train.yaml", "units.txt", "global_cmvn", "final.pt"
_ENDS = frozenset({"<sos/eos>", "<sos>", "<eos>"})


def import_wenet(request: ImportRequest, store: ArtifactStore) -> Imported:
    """Bring in the model in `request`. Raises ImportFailed, and leaves nothing in the store then."""
    return bring_in(request, store, read_wenet)


def read_wenet(root: Path, request: ImportRequest) -> Draft:
    """The model in the directory `root`; raises ImportFailed naming the file, key or tensor that is wrong."""
    files = {name: needed_file(root, name, "WeNet") for name in (CONFIG_FILE, TABLE_FILE, CHECKPOINT_FILE)}
    config = read_config(read_yaml(files[CONFIG_FILE]))
    if config.has_cmvn and (root / CMVN_FILE).is_file():
        files[CMVN_FILE] = root / CMVN_FILE
    table = _table(files[TABLE_FILE], config)
    manifest = _manifest(request, config, table, Source(layout=LAYOUT, files=digests(root, files)))
    checkpoint = _normalised(read_torch_checkpoint(files[CHECKPOINT_FILE]), files.get(CMVN_FILE), config)
    tensors = convert_tensors(checkpoint, shapes(build(manifest)), TORCH)
    return Draft(manifest=manifest, tensors=tensors, units_text=table.dump())


def _table(path: Path, config: WenetConfig) -> TokenTable:
    table = read_units(path)
    check_units(table, config.units, path.name, is_asr=config.kind == "asr")
    if config.decoder is not None:
        _check_ends(table, config.decoder, path.name)
    return table


def _check_ends(table: TokenTable, decoder: Decoder, told: str) -> None:
    """A table that names the units for start and end must mean those that the configuration means."""
    named = {number: symbol for number, symbol in enumerate(table.symbols) if symbol in _ENDS}
    for key, number in (("<sos>", decoder.sos), ("<eos>", decoder.eos)):
        if named and number not in named:
            raise ImportFailed(
                f"tokenizer_conf.special_tokens.{key} is {number}, and {told} has {table.symbols[number]!r} there."
            )


def _manifest(request: ImportRequest, config: WenetConfig, table: TokenTable, source: Source) -> Manifest:
    is_asr = config.kind == "asr"
    return Manifest(
        name=request.name,
        kind=config.kind,
        language=language_of_recogniser(request) if is_asr else None,
        domain=request.domain if is_asr else None,
        labels=() if is_asr else table.symbols,
        sample_rate_hz=config.sample_rate_hz,
        units=config.units,
        tokenizer=config.tokenizer or ("bpe" if is_asr and has_pieces(table) else "char"),
        encoder=config.encoder,
        decoder=config.decoder,
        source=source,
        files={},
    )


def _normalised(checkpoint: dict[str, Array], cmvn: Path | None, config: WenetConfig) -> dict[str, Array]:
    """The statistics are part of the network: in the checkpoint, in their file, or the same in both."""
    n_mels = config.encoder.n_mels
    if not config.has_cmvn:
        return normalised_before(checkpoint, no_normalisation(n_mels))
    if cmvn is None:
        # Those in the checkpoint, then; one that is missing is missed by name.
        return checkpoint
    return with_statistics(checkpoint, read_cmvn(cmvn, n_mels, is_json=config.is_json_cmvn), CMVN_FILE)
