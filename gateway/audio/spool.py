"""Decoded sound, on disk where it is long, in files that have no name: nothing is left, however the process ends."""

import os
import tempfile
from typing import IO, Final

import numpy as np

from gateway.audio.blocks import FloatArray, Int16Array

_BYTES_PER_SAMPLE: Final = 2
# Half a minute: a file costs a short recording more than all else that is done with its sound.
_MEMORY_BYTES: Final = 1 << 20


class Spool:
    """16 kHz int16 samples of one lane; written once from front to back, then read anywhere from any thread."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._memory: bytearray | None = bytearray()
        self._file: IO[bytes] | None = None
        self.n_samples = 0

    @property
    def is_in_memory(self) -> bool:
        """Whether reading waits for no disk."""
        return self._file is None

    def write(self, pcm: Int16Array) -> None:
        raw = np.ascontiguousarray(pcm, "<i2").data
        self.n_samples += len(pcm)
        if self._memory is not None and len(self._memory) + raw.nbytes <= _MEMORY_BYTES:
            self._memory += raw
        else:
            self._on_disk().write(raw)

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def read(self, start: int, stop: int) -> FloatArray:
        """Samples `start` to `stop` as float32 in [-1, 1]; only these are read."""
        at, n_bytes = _BYTES_PER_SAMPLE * start, _BYTES_PER_SAMPLE * (stop - start)
        if self._file is not None:
            raw: bytes | memoryview = os.pread(self._file.fileno(), n_bytes, at)
        elif self._memory is not None:
            raw = memoryview(self._memory)[at : at + n_bytes]
        else:
            raise ValueError("this recording is closed")
        pcm = np.frombuffer(raw, "<i2").astype(np.float32)
        pcm *= np.float32(1 / 32768)
        return pcm

    def close(self) -> None:
        self._memory = None
        if self._file is not None:
            self._file.close()

    def _on_disk(self) -> IO[bytes]:
        """The file, with what was in memory at its beginning."""
        if self._file is None:
            # TemporaryFile opens with O_TMPFILE, or unlinks at once where the file system lacks it.
            self._file = tempfile.TemporaryFile(dir=self._directory or None)  # noqa: SIM115 - lives as long as the recording
            self._file.write(self._memory or b"")
            self._memory = None
        return self._file
