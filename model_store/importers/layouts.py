"""Every layout that models come in, and how to tell which one a model has."""

from pathlib import Path

from model_store.artifacts.store import ArtifactStore
from model_store.errors import ImportFailed
from model_store.importers import paddlespeech, wenet
from model_store.importers.foreign import Read, bring_in
from model_store.importers.publishing import Draft
from model_store.importers.request import Imported, ImportRequest, Layout

_READ: dict[Layout, Read] = {"wenet": wenet.read_wenet, "paddlespeech": paddlespeech.read_paddlespeech}
# Either of a layout's files gives it away; which one is missing, its reader says.
_SIGNS: dict[Layout, tuple[str, ...]] = {
    "wenet": (wenet.CONFIG_FILE, wenet.CHECKPOINT_FILE),
    "paddlespeech": paddlespeech.CONFIG_FILES,
}


def import_model(request: ImportRequest, store: ArtifactStore) -> Imported:
    """Bring in a model of whatever layout. Raises ImportFailed, and leaves nothing in the store then."""
    return bring_in(request, store, _read)


def recognise(root: Path) -> Layout:
    """The layout of the model in the directory `root`; raises ImportFailed where that is not plain."""
    found = [layout for layout, signs in _SIGNS.items() if any((root / sign).is_file() for sign in signs)]
    if len(found) == 1:
        return found[0]
    looks = "; ".join(f"{layout} has {' or '.join(signs)}" for layout, signs in _SIGNS.items())
    which = "no layout that is known" if not found else "more than one layout, so say which is meant"
    raise ImportFailed(f"The source has {which}: {looks}.")


def _read(root: Path, request: ImportRequest) -> Draft:
    return _READ[request.layout or recognise(root)](root, request)
