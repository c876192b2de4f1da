"""Every codec that there is an encoder for comes back as the sound that went in; the rest from bytes made by hand."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.audio import AudioSettings, Segment, open_recording

Maker = Callable[..., Any]
Array = NDArray[np.floating[Any]]

LOSSLESS = [
    ("pcm_s16le", "wav", 16_000),
    ("pcm_s16le", "wav", 8_000),
    ("pcm_s16le", "wav", 11_025),
    ("pcm_s24le", "wav", 48_000),
    ("pcm_s32le", "w64", 44_100),
    ("pcm_f32le", "wav", 44_100),
    ("pcm_f64le", "wav", 22_050),
    ("pcm_s16be", "aiff", 44_100),
    ("pcm_s16be", "au", 16_000),
    ("pcm_s16be", "caf", 16_000),
    ("pcm_s16le", "mov", 32_000),
    ("pcm_s16le", "avi", 16_000),
    ("pcm_s16le", "matroska", 16_000),
    ("flac", "flac", 16_000),
    ("flac", "flac", 48_000),
    ("flac", "ogg", 16_000),
    ("alac", "ipod", 16_000),
]
# codec, container, rate, least correlation: what telephone codecs leave of a waveform is less than what one hears.
LOSSY = [
    ("pcm_alaw", "wav", 8_000, 0.999),
    ("pcm_mulaw", "wav", 8_000, 0.999),
    ("pcm_mulaw", "au", 8_000, 0.999),
    ("pcm_u8", "wav", 8_000, 0.995),
    ("adpcm_ms", "wav", 16_000, 0.98),
    ("adpcm_ima_wav", "wav", 16_000, 0.98),
    ("adpcm_ima_qt", "mov", 16_000, 0.98),
    ("g722", "wav", 16_000, 0.99),
    ("g726", "wav", 8_000, 0.95),
    ("g723_1", "wav", 8_000, 0.95),
    ("libmp3lame", "mp3", 8_000, 0.95),
    ("libmp3lame", "mp3", 16_000, 0.98),
    ("libmp3lame", "mp3", 44_100, 0.98),
    ("mp2", "mp2", 48_000, 0.98),
    ("libopus", "ogg", 16_000, 0.98),
    ("libopus", "ogg", 48_000, 0.98),
    ("libopus", "webm", 48_000, 0.98),
    ("vorbis", "ogg", 44_100, 0.98),
    ("aac", "ipod", 44_100, 0.95),
    ("aac", "mp4", 16_000, 0.95),
    ("aac", "adts", 16_000, 0.95),
    ("aac", "mpegts", 48_000, 0.95),
    ("aac", "matroska", 44_100, 0.95),
    ("aac", "flv", 44_100, 0.95),
    ("wavpack", "wv", 16_000, 0.98),  # these two are lossless: the encoders take 8 bits here
    ("tta", "tta", 16_000, 0.98),
    ("wmav2", "asf", 44_100, 0.98),
    ("ac3", "ac3", 48_000, 0.98),
    ("libopencore_amrnb", "amr", 8_000, 0.8),
    ("libopencore_amrnb", "3gp", 8_000, 0.8),
]
BIT_RATES = {"libopencore_amrnb": 12_200, "g723_1": 6_300, "wmav2": 64_000}


async def decoded(data: bytes) -> Array:
    """All that a file holds, as the recogniser would hear it."""
    with await open_recording(io.BytesIO(data), AudioSettings()) as recording:
        return recording.read(Segment(0, 0, 0.0, recording.duration_s))


def snr_db(heard: Array, said: Array) -> float:
    n = min(len(heard), len(said))
    return float(10 * np.log10(np.mean(said[:n] ** 2) / np.mean((heard[:n] - said[:n]) ** 2)))


def best_correlation(heard: Array, said: Array) -> float:
    """At the best delay, to a quarter of a sample: encoders put some sound of their own before, or swallow some."""
    n = 2 * max(len(heard), len(said))
    spectrum = np.fft.rfft(heard, n) * np.conj(np.fft.rfft(said, n))
    return float(4 * np.fft.irfft(spectrum, 4 * n).max() / np.linalg.norm(heard) / np.linalg.norm(said))


@pytest.mark.parametrize(("codec", "container", "rate_hz"), LOSSLESS)
async def test_decode_lossless_codec_returns_the_sound(
    codec: str, container: str, rate_hz: int, encode: Maker, speech: Maker
) -> None:
    heard = await decoded(encode(speech(3.0, rate_hz), codec, container, rate_hz))
    assert abs(len(heard) - 48_000) <= 1
    assert snr_db(heard, speech(3.0)) > 60


@pytest.mark.parametrize(("codec", "container", "rate_hz", "least"), LOSSY)
async def test_decode_lossy_codec_returns_nearly_the_sound(
    codec: str, container: str, rate_hz: int, least: float, encode: Maker, speech: Maker
) -> None:
    sound = speech(3.0, rate_hz)
    sound = np.stack([sound, sound]) if codec == "vorbis" else sound
    more = {"bit_rate": BIT_RATES[codec]} if codec in BIT_RATES else {}
    heard = await decoded(encode(sound, codec, container, rate_hz, **more))
    assert abs(len(heard) / 16_000 - 3.0) < 0.15
    assert best_correlation(heard, speech(3.0)) > least


async def test_decode_16_khz_wav_returns_its_very_samples(wav: Maker, speech: Maker) -> None:
    samples = np.rint(speech(2.0) * 32768).astype("<i2")
    heard = await decoded(wav(samples.tobytes()))
    assert np.array_equal(heard * 32768, samples)


def mu_law(sample: int) -> int:
    """ITU-T G.711, table 2a, from the standard's own segments rather than from a codec."""
    magnitude = min(abs(sample) // 4, 8158) + 33
    segment = magnitude.bit_length() - 6
    return ~((0x80 if sample < 0 else 0) | segment << 4 | (magnitude >> (segment + 1)) & 15) & 0xFF


def a_law(sample: int) -> int:
    """ITU-T G.711, table 1a."""
    magnitude = abs(sample) // 8
    segment = max(0, magnitude.bit_length() - 5)
    mantissa = (magnitude >> max(1, segment)) & 15 if segment else magnitude >> 1 & 15
    return (segment << 4 | mantissa | (0x80 if sample >= 0 else 0)) ^ 0x55


@pytest.mark.parametrize(("law", "tag"), [(mu_law, 7), (a_law, 6)])
async def test_decode_handmade_g711_wav_returns_the_sound(
    law: Callable[[int], int], tag: int, wav: Maker, speech: Maker
) -> None:
    data = bytes(law(int(sample)) for sample in np.rint(speech(2.0, 8_000) * 32768))
    heard = await decoded(wav(data, 8_000, bits=8, tag=tag))
    assert snr_db(heard, speech(2.0)) > 25


async def test_decode_handmade_amr_wb_hears_twenty_ms_a_frame() -> None:
    """The wheel has no AMR-WB encoder: frames of the 23.85 kbit/s mode with speech-like bursts of random bits."""
    rng = np.random.default_rng(5)
    silence, burst = b"\x44" + bytes(60), [b"\x44" + rng.bytes(60) for _ in range(10)]
    data = b"#!AMR-WB\n" + b"".join(burst + [silence] * 5) * 6
    heard = await decoded(data)
    assert len(heard) == 90 * 320
    assert float(np.abs(heard).max()) > 0.01


@pytest.mark.parametrize("promise", [0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF, 0x80000000])
async def test_decode_streamed_wav_of_unknown_length_is_whole(promise: int, wav: Maker, speech: Maker) -> None:
    heard = await decoded(wav(speech(2.0), data_bytes=promise))
    assert len(heard) == 32_000


async def test_decode_video_takes_its_audio(encode: Maker, speech: Maker) -> None:
    heard = await decoded(encode(speech(2.0), "aac", "mp4", with_video=True))
    assert best_correlation(heard, speech(2.0)) > 0.98


async def test_decode_8_khz_leaves_nothing_above_4_khz(wav: Maker, speech: Maker) -> None:
    heard = await decoded(wav(speech(2.0, 8_000), 8_000))
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) ** 2
    hz = np.fft.rfftfreq(len(heard), 1 / 16_000)
    assert 10 * np.log10(spectrum[hz > 4_200].sum() / spectrum.sum()) < -70


async def test_decode_float_wav_with_nan_and_infinity_stays_within_full_scale(wav: Maker, speech: Maker) -> None:
    samples = speech(2.0).astype("<f4")
    samples[::1000], samples[1::1000] = np.nan, np.inf
    heard = await decoded(wav(samples.tobytes(), bits=32, tag=3))
    assert float(np.abs(heard).max()) <= 1.0
    assert best_correlation(heard[500:990], speech(2.0)[500:990]) > 0.9
