"""Any container and codec -> blocks of float32 samples at their own rate; nothing but the given file is ever opened."""

import threading
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from gateway.audio.allowed import CODECS, FORMATS
from gateway.audio.blocks import Block, FloatArray, batched, float_pcm
from gateway.audio.lengths import declared_samples
from gateway.audio.wave import plain_wav
from model_store.errors import AudioTruncated, AudioUndecodable

MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 768_000
# Longer jumps of the time stamps than this are filled with silence, as players do, so that word times stay right ...
_GAP_S = 0.25
# ... but no more of it than there is sound, and a minute: beyond that the clock is broken and is set anew.
_MAX_GAP_S = 60.0
_MAX_BLOCK_SAMPLES = 1 << 16
# PyAV's `planes`, and with it `to_ndarray`, runs past the end of AVFrame.data from eight planes on and crashes.
_MAX_PLANES = 7
# What PyAV raises besides its own tree when a header makes no sense.
_AV_ERRORS = (av.FFmpegError, ValueError, ArithmeticError, LookupError, RuntimeError)


class Stopped(Exception):
    """The caller no longer wants the result."""


class _Reader:
    """The source as PyAV sees it: no name to guess by, nothing to close, at its end as soon as it is stopped."""

    def __init__(self, source: BinaryIO, stop: threading.Event) -> None:
        self._source = source
        self._stop = stop
        self.tell = source.tell

    def read(self, n_bytes: int) -> bytes:
        return b"" if self._stop.is_set() else self._source.read(n_bytes)

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._source.seek(offset, whence)
        except (OSError, ValueError, OverflowError):
            return -1  # a container may name any offset; FFmpeg takes this as its own error


def decode(source: BinaryIO, stop: threading.Event) -> Iterator[Block]:
    """The first audio track of a file, block by block.

    Packets that do not decode are left out and the hole is filled with silence; a file in which most of them do not is
    undecodable. Raises AudioUndecodable, AudioTruncated (fewer samples than FLAC and TTA declare) and Stopped.
    """
    plain = plain_wav(source)
    if plain is not None and MIN_RATE_HZ <= plain.rate_hz <= MAX_RATE_HZ:
        for block in plain.blocks(source):
            if stop.is_set():
                raise Stopped
            yield block
        return
    yield from _decoded(source, stop)


def _decoded(source: BinaryIO, stop: threading.Event) -> Iterator[Block]:
    """By FFmpeg."""
    n_declared = declared_samples(source)
    source.seek(0)
    container = _open(_Reader(source, stop))
    try:
        track = _Track(container, stop)
        yield from batched(track.blocks())
    finally:
        container.close()
    if n_declared is not None and track.end_sample < n_declared:
        raise AudioTruncated(
            f"the file declares {n_declared} samples and ends after {track.end_sample}", param="file", **track.what
        )


def _open(reader: _Reader) -> InputContainer:
    limits = {"format_whitelist": FORMATS, "codec_whitelist": CODECS, "protocol_whitelist": "none", "max_streams": "64"}
    try:
        return av.open(reader, "r", container_options=limits, metadata_errors="replace", io_open=_refuse)
    except _AV_ERRORS as exc:
        raise _undecodable("no known audio container fits this file", {}) from exc


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    """A container may name other files and addresses; none is ever opened."""
    raise PermissionError("containers may not refer to other files")


def _undecodable(message: str, what: dict[str, Any]) -> AudioUndecodable:
    return AudioUndecodable(message, param="file", **what)


class _Track:
    """One pass over the packets of the audio track."""

    def __init__(self, container: InputContainer, stop: threading.Event) -> None:
        self._container = container
        self._stop = stop
        self.what: dict[str, Any] = {"container": container.format.name}
        self._stream = self._audio_stream()
        self.what["codec"] = self._stream.codec_context.name
        self._packer: av.AudioResampler | None = None
        self._packs: tuple[str, str, int] | None = None
        self._heard_s = self._filled_s = 0.0
        self._clock_s: float | None = None  # time stamp at which the recording began
        self._n_packets = self._n_bad = self._n_frames = 0
        self.end_sample = 0

    def _audio_stream(self) -> AudioStream:
        if not self._container.streams.audio:
            raise _undecodable("the file has no audio track", self.what)
        stream = self._container.streams.best("audio") or self._container.streams.audio[0]
        context = stream.codec_context
        if not isinstance(stream, AudioStream) or context is None or context.name not in CODECS.split(","):
            raise _undecodable("the codec of the audio track is not known", self.what)
        context.thread_count = 1  # one recording, one core: many are decoded at once
        return stream

    def blocks(self) -> Iterator[Block]:
        for packet in self._packets():
            for frame in self._frames(packet):
                yield from self._silence_before(frame)
                yield from self._block(frame)
        if self._n_packets and (self._n_frames == 0 or self._n_bad * 2 > self._n_packets):
            raise _undecodable("the audio track does not decode", self.what)

    def _packets(self) -> Iterator["Packet[AudioStream]"]:
        packets = self._container.demux(self._stream)
        while True:
            if self._stop.is_set():
                raise Stopped
            try:
                packet = next(packets)
            except StopIteration:
                return
            except _AV_ERRORS:
                return  # the container breaks off here; what came before it stands
            yield packet

    def _frames(self, packet: "Packet[AudioStream]") -> list[AudioFrame]:
        self._n_packets += packet.size > 0  # the last one is empty and flushes the decoder
        try:
            return packet.decode()
        except _AV_ERRORS:
            self._n_bad += 1
            return []

    def _silence_before(self, frame: AudioFrame) -> Iterator[Block]:
        time_s = frame.time
        if time_s is None or not MIN_RATE_HZ <= frame.sample_rate <= MAX_RATE_HZ:
            return
        if self._clock_s is None:
            self._clock_s = time_s
        gap_s = time_s - self._clock_s - self._heard_s
        if abs(gap_s) <= _GAP_S:
            return
        sound_s = self._heard_s - self._filled_s
        if gap_s < 0 or self._filled_s + gap_s > sound_s + _MAX_GAP_S:
            self._clock_s += gap_s
            return
        self._filled_s += gap_s
        yield from self._silence(gap_s, frame.sample_rate)

    def _silence(self, seconds: float, rate_hz: int) -> Iterator[Block]:
        left = int(seconds * rate_hz)
        while left > 0:
            yield from self._cut(np.zeros((1, min(left, _MAX_BLOCK_SAMPLES)), np.float32), rate_hz)
            left -= _MAX_BLOCK_SAMPLES

    def _block(self, frame: AudioFrame) -> Iterator[Block]:
        rate_hz = frame.sample_rate
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise _undecodable(f"a sample rate of {rate_hz} Hz is not speech", self.what)
        try:
            pcm = float_pcm(self._packed(frame))
        except _AV_ERRORS:  # a layout or a sample format that numpy cannot hold
            self._n_bad += 1
            return
        self._n_frames += 1
        yield from self._cut(pcm, rate_hz)
        self.end_sample = round((frame.time or 0.0) * rate_hz) + pcm.shape[1]

    def _packed(self, frame: AudioFrame) -> AudioFrame:
        """The frame in one plane where its planes are more than PyAV can read."""
        if not frame.format.is_planar or frame.layout.nb_channels <= _MAX_PLANES:
            return frame
        packs = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._packer is None or self._packs != packs:
            self._packer, self._packs = av.AudioResampler("flt", frame.layout, frame.sample_rate), packs
        return self._packer.resample(frame)[0]

    def _cut(self, pcm: FloatArray, rate_hz: int) -> Iterator[Block]:
        self._heard_s += pcm.shape[1] / rate_hz
        for start in range(0, pcm.shape[1], _MAX_BLOCK_SAMPLES):
            yield Block(pcm[:, start : start + _MAX_BLOCK_SAMPLES], rate_hz)
