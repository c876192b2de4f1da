"""What counts as speech."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gateway.audio import AudioSettings, open_recording
from model_store.errors import NoSpeech

Maker = Callable[..., Any]
RNG = np.random.default_rng(4)
T = np.arange(5 * 16_000) / 16_000

NO_SPEECH = {
    "digital silence": np.zeros_like(T),
    "faint noise": 1e-3 * RNG.standard_normal(len(T)),
    "faint colour": 3e-3 * np.convolve(RNG.standard_normal(len(T)), np.ones(5) / 2, "same"),
    "least bit of noise": RNG.integers(-1, 2, len(T)) / 32768,
    "loud white noise": 0.1 * RNG.standard_normal(len(T)),
    "mains hum": 0.1 * np.sin(2 * np.pi * 50 * T) + 0.03 * np.sin(2 * np.pi * 150 * T),
    "dial tone": 0.3 * np.sin(2 * np.pi * 425 * T),
    "ringing tone": 0.2 * np.sin(2 * np.pi * 440 * T) * (T % 3 < 1),
    "offset": np.full_like(T, 0.25),
    "clicks": 0.8 * (np.arange(len(T)) % 16_000 < 20),
}


async def opened(data: bytes, **options: Any) -> list[tuple[float, float]]:
    with await open_recording(io.BytesIO(data), AudioSettings(**options)) as recording:
        return [(segment.start_s, segment.end_s) for segment in recording.segments]


@pytest.mark.parametrize("name", NO_SPEECH)
async def test_open_sound_without_speech_holds_no_speech(name: str, wav: Maker) -> None:
    with pytest.raises(NoSpeech, match="no speech"):
        await opened(wav(NO_SPEECH[name]))


async def test_open_recording_under_a_tenth_of_a_second_is_too_short(wav: Maker, speech: Maker) -> None:
    with pytest.raises(NoSpeech, match="90 ms, too short"):
        await opened(wav(speech(1.0)[8_000 : 8_000 + 1_440]))


@pytest.mark.parametrize("gain", [1.0, 0.1, 0.03])
async def test_open_speech_in_silence_is_found_with_a_margin(gain: float, wav: Maker, speech: Maker) -> None:
    silence = np.zeros(32_000)
    spans = await opened(wav(np.concatenate([silence, gain * speech(4.0 / 3), silence])))
    [(start_s, end_s)] = spans
    assert 1.5 <= start_s <= 2.1  # the syllable swells from nothing for 0.1 s and more
    assert 3.1 <= end_s <= 3.8


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("vad_mode", range(4))
async def test_open_noise_of_any_level_holds_no_speech(seed: int, vad_mode: int, wav: Maker) -> None:
    """The detector fires on the first frames of any noise, until it knows it."""
    rng = np.random.default_rng(seed)
    noise = 10 ** rng.uniform(-4, -1) * rng.standard_normal(80_000)
    with pytest.raises(NoSpeech):
        await opened(wav(noise), vad_mode=vad_mode)


@pytest.mark.parametrize("snr_db", [20, 10, 5])
async def test_open_speech_in_noise_is_found(snr_db: int, wav: Maker, speech: Maker) -> None:
    sound = speech(6.0)
    noise = RNG.standard_normal(len(sound)) * sound.std() * 10 ** (-snr_db / 20)
    spans = await opened(wav(sound + noise))
    assert sum(end_s - start_s for start_s, end_s in spans) > 4.5


async def test_open_level_below_the_setting_holds_no_speech(wav: Maker, speech: Maker) -> None:
    with pytest.raises(NoSpeech):
        await opened(wav(0.03 * speech(4.0)), min_level_dbfs=-30.0)
