"""One upload, decoded and cut into segments of speech, while the event loop does other things."""

import asyncio
import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import BinaryIO, Self

from gateway.audio.blocks import FloatArray, Int16Array
from gateway.audio.decode import decode
from gateway.audio.lengths import missing_bytes
from gateway.audio.resample import SAMPLE_RATE_HZ, ChannelMode, resampled
from gateway.audio.segments import Segment, Span, segment_speech
from gateway.audio.settings import AudioSettings
from gateway.audio.speech import FRAME_S, FRAME_SAMPLES, SpeechFinder
from gateway.audio.spool import Spool
from gateway.audio.wave import plain_wav
from model_store.errors import AudioMissing, AudioTooLong, AudioTruncated, NoSpeech

_MIN_DURATION_S = 0.1
# Five seconds, plain: a millisecond of work, most of which holds the interpreter, so that a thread would gain nothing.
_QUICK_BYTES = 160_000
_NEVER = threading.Event()


class Recording:
    """A decoded recording until `close`: its list of segments, and its sound, which lies on disk unless it is short."""

    def __init__(self, spools: list[Spool], segments: list[Segment], files: contextlib.ExitStack) -> None:
        self.channels = len(spools)
        self.duration_s = spools[0].n_samples / SAMPLE_RATE_HZ
        self.segments = segments
        self._spools = spools
        self._files = files

    @property
    def is_in_memory(self) -> bool:
        """Whether `read` waits for no disk."""
        return all(spool.is_in_memory for spool in self._spools)

    def read(self, segment: Segment) -> FloatArray:
        """(n_samples,) float32 in [-1, 1] at 16 kHz; safe from any thread. ValueError once closed."""
        start = segment.start_sample
        return self._spools[segment.channel].read(start, start + segment.n_samples)

    def close(self) -> None:
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def open_recording(source: BinaryIO, settings: AudioSettings, *, channels: ChannelMode = "mix") -> Recording:
    """Decodes a seekable file from its beginning and finds its speech; the caller closes the recording.

    "mix" averages all channels, "separate" keeps up to eight apart. When cancelled it returns only after the decoding
    thread has let go of `source`, which takes about one packet's time.

    Raises AudioMissing, AudioUndecodable, AudioTruncated, AudioTooLong and NoSpeech.
    """
    if _is_quick(source):
        return _open(source, settings, channels, _NEVER)
    stop = threading.Event()
    job = _threads().submit(_open, source, settings, channels, stop)
    try:
        return await asyncio.shield(asyncio.wrap_future(job))
    except asyncio.CancelledError:
        stop.set()
        if not job.cancel():
            await _abandon(job)
        raise


def _is_quick(source: BinaryIO) -> bool:
    return source.seek(0, os.SEEK_END) <= _QUICK_BYTES and plain_wav(source) is not None


@functools.cache
def _threads() -> ThreadPoolExecutor:
    # More than there are cores: a short recording must not wait until several long ones are through.
    return ThreadPoolExecutor(max_workers=8, thread_name_prefix="audio")


async def _abandon(job: Future[Recording]) -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    job.add_done_callback(_close_result)
    job.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
    await done.wait()


def _close_result(job: Future[Recording]) -> None:
    if not job.cancelled() and job.exception() is None:
        job.result().close()


def _open(source: BinaryIO, settings: AudioSettings, channels: ChannelMode, stop: threading.Event) -> Recording:
    if source.seek(0, os.SEEK_END) == 0:
        raise AudioMissing("the file is empty", param="file")
    if missing := missing_bytes(source):
        raise AudioTruncated(
            f"the file is cut off: its header declares at least {missing} bytes more",
            param="file",
            missing_bytes=missing,
        )
    files = contextlib.ExitStack()
    try:
        lanes: list[_Lane] = []
        for pcm in resampled(decode(source, stop), channels):
            lanes = lanes or [_Lane(files, settings) for _ in pcm]
            _add(lanes, pcm, settings)
        return Recording([lane.spool for lane in lanes], _segments(lanes, settings), files)
    except BaseException:
        files.close()
        raise


class _Lane:
    """One channel on its way to disk, listened to as it passes."""

    def __init__(self, files: contextlib.ExitStack, settings: AudioSettings) -> None:
        self.spool = Spool(settings.spool_dir)
        files.callback(self.spool.close)
        self._finder = SpeechFinder(settings)

    def add(self, pcm: Int16Array) -> None:
        self.spool.write(pcm)
        self._finder.add(pcm)

    def spans(self, settings: AudioSettings) -> list[Span]:
        self.spool.flush()
        flags, levels = self._finder.finish()
        return segment_speech(flags, FRAME_S, settings, levels)


def _add(lanes: list[_Lane], pcm: Int16Array, settings: AudioSettings) -> None:
    for lane, samples in zip(lanes, pcm, strict=True):
        lane.add(samples)
    if lanes[0].spool.n_samples > settings.max_duration_s * SAMPLE_RATE_HZ:
        raise AudioTooLong(
            f"the recording is longer than {settings.max_duration_s:g} s, the longest that is accepted",
            param="file",
            max_duration_s=settings.max_duration_s,
        )


def _segments(lanes: list[_Lane], settings: AudioSettings) -> list[Segment]:
    n_samples = lanes[0].spool.n_samples if lanes else 0
    if n_samples < _MIN_DURATION_S * SAMPLE_RATE_HZ:
        raise NoSpeech(
            f"the recording lasts {1000 * n_samples // SAMPLE_RATE_HZ} ms, too short for speech", param="file"
        )
    found = sorted((*span, channel) for channel, lane in enumerate(lanes) for span in lane.spans(settings))
    if not found:
        raise NoSpeech("the recording holds no speech", param="file", duration_s=n_samples / SAMPLE_RATE_HZ)
    return [
        Segment(index, channel, *_seconds(start, stop, n_samples)) for index, (start, stop, channel) in enumerate(found)
    ]


def _seconds(start: int, stop: int, n_samples: int) -> Iterator[float]:
    yield start * FRAME_SAMPLES / SAMPLE_RATE_HZ
    yield min(stop * FRAME_SAMPLES, n_samples) / SAMPLE_RATE_HZ
