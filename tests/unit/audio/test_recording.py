"""Recordings end to end: channels, limits, memory, cancelling, what is left behind."""

import asyncio
import gc
import io
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import psutil
import pytest

from gateway.audio import AudioSettings, Recording, Segment, open_recording
from model_store.errors import AudioTooLong, NoSpeech

Maker = Callable[..., Any]


def spools() -> int:
    """Files of this process that have no name any more."""
    gc.collect()
    links = list(Path("/proc/self/fd").iterdir())
    return sum("(deleted)" in str(link.readlink()) for link in links if link.is_symlink())


def stereo(left: np.ndarray, right: np.ndarray) -> bytes:
    return np.rint(np.stack([left, right], axis=1) * 32768).astype("<i2").tobytes()


async def test_open_stereo_separate_keeps_each_side_and_orders_by_time(wav: Maker, speech: Maker) -> None:
    talk, pause = speech(4.0 / 3), np.zeros(32_000)
    quiet = np.zeros_like(talk)
    left = np.concatenate([pause, talk, pause, quiet, pause])
    right = np.concatenate([pause, quiet, pause, 0.5 * talk, pause])
    data = wav(stereo(left, right), n_channels=2)
    with await open_recording(io.BytesIO(data), AudioSettings(), channels="separate") as recording:
        assert recording.channels == 2
        assert [(segment.index, segment.channel) for segment in recording.segments] == [(0, 0), (1, 1)]
        assert recording.segments[0].end_s < recording.segments[1].start_s
        for segment, side in zip(recording.segments, (left, right), strict=True):
            said = side[segment.start_sample : segment.start_sample + segment.n_samples]
            assert np.abs(recording.read(segment) - said).max() <= 0.5 / 32768


async def test_open_stereo_mix_averages_the_sides(wav: Maker, speech: Maker) -> None:
    left, right = speech(3.0), speech(3.0, pitch_hz=200.0)
    with await open_recording(io.BytesIO(wav(stereo(left, right), n_channels=2)), AudioSettings()) as recording:
        assert recording.channels == 1
        heard = recording.read(Segment(0, 0, 0.0, 3.0))
    assert np.abs(heard - (left + right) / 2).max() <= 1.01 / 32768


async def test_open_stereo_with_a_silent_side_hears_the_other(wav: Maker, speech: Maker) -> None:
    data = wav(stereo(np.zeros(48_000), speech(3.0)), n_channels=2)
    with await open_recording(io.BytesIO(data), AudioSettings(), channels="separate") as recording:
        assert [segment.channel for segment in recording.segments] == [1]
    with await open_recording(io.BytesIO(data), AudioSettings()) as recording:
        assert [segment.channel for segment in recording.segments] == [0]


async def test_open_stereo_silent_on_both_sides_holds_no_speech(wav: Maker) -> None:
    with pytest.raises(NoSpeech):
        await open_recording(io.BytesIO(wav(bytes(64_000), n_channels=2)), AudioSettings(), channels="separate")


async def test_open_mono_separate_has_one_channel(wav: Maker, speech: Maker) -> None:
    with await open_recording(io.BytesIO(wav(speech(2.0))), AudioSettings(), channels="separate") as recording:
        assert recording.channels == 1


async def test_open_source_read_half_way_starts_at_its_beginning(wav: Maker, speech: Maker) -> None:
    source = io.BytesIO(wav(speech(2.0)))
    source.seek(777)
    with await open_recording(source, AudioSettings()) as recording:
        assert recording.duration_s == 2.0
    assert not source.closed


async def test_recording_segments_of_a_long_one_are_within_the_limit(wav: Maker, speech: Maker) -> None:
    sentences = [np.concatenate([speech(seconds), np.zeros(16_000)]) for seconds in (4.0, 6.0, 2.0, 40.0, 4.0)]
    with await open_recording(io.BytesIO(wav(np.concatenate(sentences))), AudioSettings()) as recording:
        assert len(recording.segments) >= 6
        assert all(segment.end_s - segment.start_s <= 30.0 for segment in recording.segments)
        for one, other in zip(recording.segments, recording.segments[1:], strict=False):
            assert one.end_s <= other.start_s
        assert all(len(recording.read(segment)) == segment.n_samples for segment in recording.segments)


class Endless(io.RawIOBase):
    """A streamed wav that never ends, and counts what was read of it."""

    def __init__(self, head: bytes) -> None:
        self._head = io.BytesIO(head)
        self._at = 0
        self.n_read = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = (0, self._at, 1 << 40)[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, n_bytes: int = -1) -> bytes:
        self._head.seek(self._at)
        data = self._head.read(n_bytes) or bytes(n_bytes)
        self._at += len(data)
        self.n_read += len(data)
        return data


async def test_open_recording_past_the_limit_stops_there(wav: Maker, speech: Maker) -> None:
    source: Any = Endless(wav(speech(2.0), data_bytes=0))
    before = spools()
    with pytest.raises(AudioTooLong) as caught:
        await open_recording(source, AudioSettings(max_duration_s=60.0))
    assert caught.value.details["max_duration_s"] == 60.0
    assert source.n_read < 62 * 32_000 + 500_000  # what was decoded, and what FFmpeg looked at
    assert spools() == before


class Gate(io.BytesIO):
    """Stops in the middle of a read until it is let through, as a slow disk would."""

    def __init__(self, data: bytes, gate_at: int) -> None:
        super().__init__(data)
        self.gate_at = gate_at
        self.reached, self.let_through = threading.Event(), threading.Event()
        self.n_read_after = 0

    def read(self, n_bytes: int | None = -1) -> bytes:
        if self.tell() >= self.gate_at and not self.reached.is_set():
            self.reached.set()
            self.let_through.wait(20)
        data = super().read(n_bytes)
        self.n_read_after += len(data) if self.reached.is_set() else 0
        return data


@pytest.mark.parametrize("gate_at", [0, 1_000_000])
async def test_open_recording_cancelled_stops_soon_and_leaves_nothing(gate_at: int, wav: Maker, speech: Maker) -> None:
    source = Gate(wav(np.tile(speech(4.0), 30)), gate_at)
    before = spools()
    task = asyncio.create_task(open_recording(source, AudioSettings()))
    await asyncio.to_thread(source.reached.wait, 20)  # the loop runs while the decoder is stuck
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()  # the source is still in use
    source.let_through.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.n_read_after <= 1 << 18  # a block of plain samples, and what FFmpeg reads at a time
    assert spools() == before


async def test_recording_spool_has_no_name_and_goes_when_closed(tmp_path: Path, wav: Maker, speech: Maker) -> None:
    before = spools()
    settings = AudioSettings(spool_dir=str(tmp_path))
    recording = await open_recording(io.BytesIO(wav(speech(40.0))), settings)
    assert not any(entry.is_file() for entry in os.scandir(tmp_path))
    assert spools() == before + 1
    recording.close()
    recording.close()
    assert spools() == before
    with pytest.raises(ValueError, match="closed"):
        recording.read(recording.segments[0])


async def test_recording_that_is_short_opens_no_file(wav: Maker, speech: Maker) -> None:
    before = spools()
    recording = await open_recording(io.BytesIO(wav(speech(2.0))), AudioSettings())
    assert recording.is_in_memory
    assert spools() == before
    recording.close()
    with pytest.raises(ValueError, match="closed"):
        recording.read(recording.segments[0])


async def test_recording_that_outgrows_memory_keeps_all_of_its_sound(wav: Maker, speech: Maker) -> None:
    sound = speech(40.0)
    with await open_recording(io.BytesIO(wav(sound)), AudioSettings()) as recording:
        assert not recording.is_in_memory
        heard = recording.read(Segment(0, 0, 0.0, 40.0))
    assert np.abs(heard - sound).max() <= 0.5 / 32768


async def test_recording_read_from_many_threads_gives_each_its_own(wav: Maker, speech: Maker) -> None:
    sound = np.concatenate([speech(20.0, pitch_hz=100.0 + 5 * part) for part in range(3)])
    with await open_recording(io.BytesIO(wav(sound)), AudioSettings()) as recording:
        parts = [Segment(at, 0, at / 2, at / 2 + 0.5) for at in range(120)]
        heard = await asyncio.gather(*(asyncio.to_thread(recording.read, part) for part in parts))
    assert np.abs(np.concatenate(heard) - sound).max() <= 0.5 / 32768


def write_minutes(path: Path, minutes: int, minute: bytes) -> None:
    with path.open("wb") as file:
        n_bytes = minutes * len(minute)
        head = struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
        file.write(
            b"RIFF" + struct.pack("<I", 36 + n_bytes) + b"WAVEfmt " + head + b"data" + struct.pack("<I", n_bytes)
        )
        for _ in range(minutes):
            file.write(minute)


class Watched:
    """Passes reads on and notes how large the process became."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._process = psutil.Process()
        self.largest_bytes = self.start_bytes = self._process.memory_info().rss
        self._n_reads = 0

    def read(self, n_bytes: int) -> bytes:
        self._n_reads += 1
        if self._n_reads % 50 == 0:
            self.largest_bytes = max(self.largest_bytes, self._process.memory_info().rss)
        return self._file.read(n_bytes)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


async def test_open_twenty_minutes_stay_on_disk(tmp_path: Path, wav: Maker, speech: Maker) -> None:
    (await open_recording(io.BytesIO(wav(speech(2.0))), AudioSettings())).close()  # what is loaded once
    path = tmp_path / "long.wav"
    minute = np.rint(np.concatenate([speech(16.0), np.zeros(224_000)] * 2) * 32768).astype("<i2").tobytes()
    write_minutes(path, 20, minute)
    with path.open("rb") as file:
        source: Any = Watched(file)
        recording: Recording = await open_recording(source, AudioSettings())
    with recording:
        assert recording.duration_s == 1200.0
        assert len(recording.segments) >= 40
        for segment in recording.segments:
            recording.read(segment)
        grown = max(source.largest_bytes, psutil.Process().memory_info().rss) - source.start_bytes
    assert grown < 40e6


def test_audio_settings_are_documented_and_bounded() -> None:
    schema = msgspec.json.schema(AudioSettings)["$defs"]["AudioSettings"]["properties"]
    assert all(field["description"] for field in schema.values())
    for wrong in ({"vad_mode": 4}, {"max_segment_s": 0}, {"pause_s": 1.0, "sentence_pause_s": 0.5}, {"nonsense": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, AudioSettings)
