"""Decoded sound on disk, in files that have no name: nothing is left behind, however the process ends."""

import os
import tempfile

import numpy as np

from gateway.audio.blocks import FloatArray
from gateway.audio.resample import Int16Array


class Spool:
    """16 kHz int16 samples of one lane; written once from front to back, then read anywhere from any thread."""

    def __init__(self, directory: str) -> None:
        # TemporaryFile opens with O_TMPFILE, or unlinks at once where the file system lacks it.
        self._file = tempfile.TemporaryFile(dir=directory or None)  # noqa: SIM115 - lives as long as the recording
        self.n_samples = 0

    def write(self, pcm: Int16Array) -> None:
        self._file.write(pcm.astype("<i2", copy=False).tobytes())
        self.n_samples += len(pcm)

    def flush(self) -> None:
        self._file.flush()

    def read(self, start: int, stop: int) -> FloatArray:
        """Samples `start` to `stop` as float32 in [-1, 1]; only these are read."""
        raw = os.pread(self._file.fileno(), 2 * (stop - start), 2 * start)
        return np.frombuffer(raw, "<i2").astype(np.float32) / np.float32(32768.0)

    def close(self) -> None:
        self._file.close()
