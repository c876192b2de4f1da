"""WeNet's layout (train.yaml, units.txt, global_cmvn, final.pt) -> a published version."""

from pathlib import Path

from msgspec import Struct

from model_store.artifacts.files import describe
from model_store.artifacts.manifest import Manifest, Source
from model_store.artifacts.store import ArtifactStore
from model_store.artifacts.unpickling import Array, read_torch_checkpoint
from model_store.errors import ImportFailed
from model_store.importers.cmvn import check_same, read_cmvn
from model_store.importers.config import read_yaml
from model_store.importers.publishing import Draft, publish
from model_store.importers.wenet_config import WenetConfig, read_config
from model_store.importers.wenet_tensors import convert_tensors
from model_store.nets.models import build, shapes
from model_store.predictors.tokens import BLANK, TokenTable

LAYOUT = "wenet"
CONFIG_FILE, TABLE_FILE, CMVN_FILE, CHECKPOINT_FILE = "train.yaml", "units.txt", "global_cmvn", "final.pt"
_CMVN_TENSORS = {"mean": "encoder.global_cmvn.mean", "istd": "encoder.global_cmvn.istd"}


class ImportRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to import, and as which model; a recogniser needs a language, a language classifier takes none."""

    source: str
    name: str
    language: str | None = None
    domain: str | None = None


class Imported(Struct, frozen=True, kw_only=True):
    """What came of it; `unserved` lists tensors of the source that no graph of ours runs yet."""

    version: str
    name: str
    kind: str
    language: str | None
    domain: str | None
    labels: tuple[str, ...]
    weights_bytes: int
    unserved: list[str]


def import_wenet(request: ImportRequest, store: ArtifactStore) -> Imported:
    """Read, convert, export, check by running, publish. Raises ImportFailed, and leaves nothing in the store then."""
    source = Path(request.source)
    files = _source_files(source)
    config = read_config(read_yaml(source / CONFIG_FILE))
    table = _table(source / TABLE_FILE, config)
    draft_manifest = _manifest(request, config, table, Source(layout=LAYOUT, files=files))
    checkpoint = _with_cmvn(read_torch_checkpoint(source / CHECKPOINT_FILE), source, config.encoder.n_mels)
    tensors, unserved = convert_tensors(checkpoint, shapes(build(draft_manifest)))
    digest = publish(Draft(manifest=draft_manifest, tensors=tensors, units_text=table.dump()), store)
    manifest = store.manifest(digest)
    return Imported(
        version=digest,
        name=manifest.name,
        kind=manifest.kind,
        language=manifest.language,
        domain=manifest.domain,
        labels=manifest.labels,
        weights_bytes=manifest.weights_bytes,
        unserved=unserved,
    )


def _source_files(source: Path) -> dict[str, str]:
    """Digests of the files that are read; the statistics may be in the checkpoint alone."""
    digests = {}
    for name in (CONFIG_FILE, TABLE_FILE, CMVN_FILE, CHECKPOINT_FILE):
        if (source / name).is_file():
            digests[name] = describe(source / name).sha256
        elif name != CMVN_FILE:
            raise ImportFailed(f"{name} is missing: a model in WeNet's layout has one.", file=name)
    return digests


def _table(path: Path, config: WenetConfig) -> TokenTable:
    try:
        table = TokenTable.parse(path.read_text("utf-8"))
    except (ValueError, OSError) as exc:
        raise ImportFailed(f"{path.name} cannot be read: {exc}.") from exc
    if len(table.symbols) != config.units:
        raise ImportFailed(f"{path.name} has {len(table.symbols)} units, output_dim is {config.units}.")
    if config.kind == "asr" and table.symbols[0] not in {BLANK, "<blk>"}:
        raise ImportFailed(f"{path.name}: unit 0 is {table.symbols[0]!r}, it must be {BLANK}.")
    return table


def _manifest(request: ImportRequest, config: WenetConfig, table: TokenTable, source: Source) -> Manifest:
    is_asr = config.kind == "asr"
    if is_asr and not request.language:
        raise ImportFailed("A recogniser needs a language: say which one it speaks (zh, yue, en, ...).")
    return Manifest(
        name=request.name,
        kind=config.kind,
        language=request.language if is_asr else None,
        domain=request.domain if is_asr else None,
        labels=() if is_asr else table.symbols,
        sample_rate_hz=config.sample_rate_hz,
        units=config.units,
        encoder=config.encoder,
        source=source,
        files={},
    )


def _with_cmvn(checkpoint: dict[str, Array], source: Path, n_mels: int) -> dict[str, Array]:
    """The statistics are part of the network: in the checkpoint, in their file, or the same in both."""
    path = source / CMVN_FILE
    if not path.is_file():
        return checkpoint
    in_file = read_cmvn(path, n_mels)
    if all(tensor in checkpoint for tensor in _CMVN_TENSORS.values()):
        check_same({name: checkpoint[tensor] for name, tensor in _CMVN_TENSORS.items()}, in_file, CMVN_FILE)
        return checkpoint
    return checkpoint | {tensor: in_file[name] for name, tensor in _CMVN_TENSORS.items()}
