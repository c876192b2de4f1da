"""A foreign model, from its source to the published version, whatever its layout."""

from collections.abc import Callable
from pathlib import Path

from model_store.artifacts.store import ArtifactStore
from model_store.errors import ImportFailed
from model_store.importers.publishing import Draft, publish
from model_store.importers.request import Imported, ImportRequest
from model_store.importers.sources import opened

Read = Callable[[Path, ImportRequest], Draft]


def bring_in(request: ImportRequest, store: ArtifactStore, read: Read) -> Imported:
    """Read, convert, export, check by running, publish. Raises ImportFailed, and leaves nothing in the store then."""
    with opened(Path(request.source), store) as root:
        draft = read(root, request)
    digest = publish(draft, store)
    manifest = store.manifest(digest)
    return Imported(
        version=digest,
        name=manifest.name,
        kind=manifest.kind,
        layout=manifest.source.layout,
        language=manifest.language,
        domain=manifest.domain,
        labels=manifest.labels,
        weights_bytes=manifest.weights_bytes,
    )


def language_of_recogniser(request: ImportRequest) -> str:
    """The language that was said, which no layout writes down."""
    if not request.language:
        raise ImportFailed("A recogniser needs a language: say which one it speaks (zh, yue, en, ...).")
    return request.language
