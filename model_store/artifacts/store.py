"""The artifact store: every published version and the graphs derived from it, as directories on one file system.

versions/<digest>/            manifest.json, weights.safetensors, units.txt; never changes
graphs/<digest>/<graph key>/  record.json, and what it lists; may be made again at any time
staging/                      work in progress
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from model_store.artifacts.files import rename_durably, settle, verify, write_durably
from model_store.artifacts.graphs import EngineName, Fit, GraphRecord, graph_key, look_up, read_record
from model_store.artifacts.manifest import MANIFEST_FILE, Manifest, parse
from model_store.artifacts.staging import clean, staging_dir
from model_store.errors import ArtifactCorrupt, VersionImmutable


class ArtifactStore:
    """Versions by digest. Any number of processes may use one root at the same time."""

    def __init__(self, root: Path) -> None:
        """Open the store at `root`, which is made when it is not there; what dead publishers left is removed."""
        self.root = root
        self._versions = root / "versions"
        self._graphs = root / "graphs"
        self._staging = root / "staging"
        for directory in (self._versions, self._graphs, self._staging):
            directory.mkdir(parents=True, exist_ok=True)
        clean(self._staging)

    def stage(self) -> AbstractContextManager[Path]:
        """A fresh directory to prepare a version or a graph in; it is gone when the context ends."""
        return staging_dir(self._staging)

    def publish(self, staged: Path, manifest: Manifest) -> str:
        """Make the files in `staged` the version that `manifest` describes; returns its digest.

        All or nothing, and the same version may be published again. Raises ArtifactCorrupt when the files are not
        those of the manifest, VersionImmutable when other bytes stand under this digest already.
        """
        self._check_contents(staged, manifest)
        write_durably(staged / MANIFEST_FILE, manifest.to_json())
        settle(staged)
        if not rename_durably(staged, self._versions / manifest.digest):
            self._check_unchanged(manifest.digest)
        return manifest.digest

    def publish_graph(self, staged: Path, digest: str, engine: EngineName = "paddle", fit: Fit | None = None) -> Path:
        """Make the files in `staged` the graph of a version for this environment; returns where it is."""
        target = self.graph_dir(digest, engine, fit)
        target.parent.mkdir(parents=True, exist_ok=True)
        settle(staged)
        while not rename_durably(staged, target):
            with suppress(ArtifactCorrupt):
                read_record(target)
                break
            self._set_aside(target)
        return target

    def version_dir(self, digest: str) -> Path:
        """Where a version's files are; raises ArtifactCorrupt when the version is not here."""
        directory = self._versions / digest
        if not directory.is_dir():
            raise ArtifactCorrupt(f"Version {digest[:12]} is not in the artifact store. Import the model again.")
        return directory

    def graph_dir(self, digest: str, engine: EngineName = "paddle", fit: Fit | None = None) -> Path:
        """Where the graph of a version for this engine, this Paddle and these networks is, or would be."""
        return self._graphs / digest / graph_key(engine, fit)

    def has_graph(self, digest: str, engine: EngineName = "paddle", fit: Fit | None = None) -> bool:
        """Whether `graph_dir` holds a sound graph, or for OpenVINO why there is none; reads all of it."""
        try:
            return read_record(self.graph_dir(digest, engine, fit)).version == digest
        except ArtifactCorrupt:
            return False

    def converted(self, digest: str) -> GraphRecord | None:
        """What became of a version's graphs for the OpenVINO that is here, where they were ever converted for it."""
        return look_up(self.graph_dir(digest, "openvino"))

    def optimized(self, digest: str, fit: Fit) -> GraphRecord | None:
        """What is known of a version's graphs for TensorRT on such a GPU, where it was ever optimised for that."""
        return look_up(self.graph_dir(digest, "tensorrt", fit))

    def manifest(self, digest: str) -> Manifest:
        """The manifest of a version; raises ArtifactCorrupt when it is not the one that the digest names."""
        return read_manifest(self.version_dir(digest), digest)

    def verify(self, digest: str) -> None:
        """Read every file of a version; raises ArtifactCorrupt naming the first that has changed."""
        verify(self.version_dir(digest), self.manifest(digest).files)

    def digests(self) -> Iterator[str]:
        """Every published version, in no particular order."""
        return (directory.name for directory in self._versions.iterdir())

    @staticmethod
    def _check_contents(staged: Path, manifest: Manifest) -> None:
        strays = {path.name for path in staged.iterdir()} - set(manifest.files) - {MANIFEST_FILE}
        if strays:
            raise ArtifactCorrupt(f"Files that the manifest does not list: {', '.join(sorted(strays))}.")
        verify(staged, manifest.files)

    def _check_unchanged(self, digest: str) -> None:
        try:
            self.verify(digest)
        except ArtifactCorrupt as exc:
            raise VersionImmutable(
                f"Version {digest[:12]} was changed after it was published: {exc.message} Remove it first."
            ) from exc

    def _set_aside(self, directory: Path) -> None:
        # Into a staging directory, so that it disappears in one step and is deleted at leisure.
        with self.stage() as rubbish, suppress(FileNotFoundError):
            directory.rename(rubbish / directory.name)


def read_manifest(version_dir: Path, digest: str | None = None) -> Manifest:
    """The manifest in `version_dir`; its digest must be `digest`, or else the directory's own name."""
    try:
        manifest = parse((version_dir / MANIFEST_FILE).read_bytes())
    except OSError as exc:
        raise ArtifactCorrupt("The version has no manifest. Import the model again.") from exc
    if manifest.digest != (digest or version_dir.name):
        raise ArtifactCorrupt("The manifest is not the one that the version's digest names. Import the model again.")
    return manifest
