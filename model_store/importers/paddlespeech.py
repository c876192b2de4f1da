"""PaddleSpeech's layout, as its archives have it -> a published version.

model.yaml, or conf/model.yaml; data/mean_std.json; data/lang_char/vocab.txt; exp/<name>/checkpoints/<name>.pdparams.
Where the data files are, the yaml says, and often it holds their content itself.
"""

from pathlib import Path

from model_store.artifacts.manifest import Manifest, Source
from model_store.artifacts.paddle_checkpoint import read_paddle_checkpoint
from model_store.artifacts.store import ArtifactStore
from model_store.errors import ImportFailed
from model_store.importers.cmvn import (
    Statistics,
    no_normalisation,
    normalised_before,
    read_cmvn,
    statistics,
    with_statistics,
)
from model_store.importers.config import read_yaml
from model_store.importers.foreign import bring_in, language_of_recogniser
from model_store.importers.paddlespeech_config import PaddleSpeechConfig, read_config
from model_store.importers.paddlespeech_features import Features, read_features
from model_store.importers.publishing import Draft
from model_store.importers.request import Imported, ImportRequest
from model_store.importers.sources import digests, file_of
from model_store.importers.tensors import PADDLE, convert_tensors
from model_store.importers.vocabulary import check_end, check_units, listed_units, read_vocabulary
from model_store.nets.models import build, shapes
from model_store.predictors.tokens import TokenTable

LAYOUT = "paddlespeech"
CONFIG_FILES = ("model.yaml", "conf/model.yaml")
CHECKPOINTS = "*.pdparams"
_VOCABULARY, _CMVN, _CMVN_STEP = "vocab_filepath", "cmvn_file", "preprocess_config: cmvn_json.cmvn_path"


def import_paddlespeech(request: ImportRequest, store: ArtifactStore) -> Imported:
    """Bring in the model in `request`. Raises ImportFailed, and leaves nothing in the store then."""
    return bring_in(request, store, read_paddlespeech)


def read_paddlespeech(root: Path, request: ImportRequest) -> Draft:
    """The model in the directory `root`; raises ImportFailed naming the file, key or tensor that is wrong."""
    files = {"config": _config_file(root), "checkpoint": _checkpoint_file(root)}
    written = read_yaml(files["config"])
    features = read_features(written, root)
    config = read_config(written, features.n_mels)
    if features.file:
        files["preprocess"] = features.file
    table = _table(root, config, files)
    cmvn = _statistics(root, config, features, files)
    manifest = _manifest(request, config, features, Source(layout=LAYOUT, files=digests(root, files)))
    checkpoint = read_paddle_checkpoint(files["checkpoint"])
    if config.cmvn_file:
        checkpoint = with_statistics(checkpoint, cmvn, config.cmvn_file)
    else:
        checkpoint = normalised_before(checkpoint, cmvn)
    tensors = convert_tensors(checkpoint, shapes(build(manifest)), PADDLE)
    return Draft(manifest=manifest, tensors=tensors, units_text=table.dump())


def _config_file(root: Path) -> Path:
    for name in CONFIG_FILES:
        if (root / name).is_file():
            return root / name
    raise ImportFailed(f"{CONFIG_FILES[0]} is missing: a model in PaddleSpeech's layout has one.", file=CONFIG_FILES[0])


def _checkpoint_file(root: Path) -> Path:
    found = sorted(path for path in root.rglob(CHECKPOINTS) if not path.name.startswith("."))
    if len(found) == 1:
        return found[0]
    if not found:
        raise ImportFailed(f"There is no {CHECKPOINTS} file: a model in PaddleSpeech's layout has one.")
    names = ", ".join(path.relative_to(root).as_posix() for path in found)
    raise ImportFailed(f"There are {len(found)} checkpoints: {names}. Leave the one that is meant.")


def _table(root: Path, config: PaddleSpeechConfig, files: dict[str, Path]) -> TokenTable:
    if isinstance(config.vocabulary, str):
        files["vocabulary"] = file_of(root, config.vocabulary, _VOCABULARY)
        table, told = read_vocabulary(files["vocabulary"]), files["vocabulary"].name
    else:
        table, told = listed_units(config.vocabulary, _VOCABULARY), _VOCABULARY
    check_units(table, config.units, told)
    check_end(table, told)
    return table


def _statistics(root: Path, config: PaddleSpeechConfig, features: Features, files: dict[str, Path]) -> Statistics:
    """What features are normalised with, in the network by `cmvn_file` or before it."""
    if config.cmvn_file and features.cmvn:
        raise ImportFailed(f"cmvn_file is {config.cmvn_file!r}, and {_CMVN_STEP} normalises too; one of them is wrong.")
    n_mels = features.n_mels
    if isinstance(features.cmvn, dict):
        return statistics(features.cmvn, n_mels, _CMVN_STEP)
    written = config.cmvn_file or features.cmvn
    if not written:
        return no_normalisation(n_mels)
    files["cmvn"] = file_of(root, written, _CMVN if config.cmvn_file else _CMVN_STEP)
    return read_cmvn(files["cmvn"], n_mels)


def _manifest(request: ImportRequest, config: PaddleSpeechConfig, features: Features, source: Source) -> Manifest:
    return Manifest(
        name=request.name,
        kind="asr",
        language=language_of_recogniser(request),
        domain=request.domain,
        sample_rate_hz=features.sample_rate_hz,
        units=config.units,
        tokenizer=config.tokenizer,
        encoder=config.encoder,
        decoder=config.decoder,
        source=source,
        files={},
    )
