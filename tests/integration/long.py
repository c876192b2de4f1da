"""Long recordings, made and judged without ever being held whole."""

import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

from tests.integration.live import TRANSCRIPTIONS, Gateway, sampled
from tests.integration.sound import RATE_HZ, speech, wav

PHRASE_S = 9.0
PAUSE_S = 1.0
PERIOD_S = PHRASE_S + PAUSE_S


def _period() -> bytes:
    sound = np.concatenate([speech(PHRASE_S), np.zeros(int(PAUSE_S * RATE_HZ))])
    return np.rint(sound * 32767).astype("<i2").tobytes()


def written(path: Path, phrases: int) -> Path:
    """A wav of so many phrases with pauses between them."""
    period = _period()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        for _ in range(phrases):
            file.writeframes(period)
    return path


def converted(source: Path, target: Path, codec: str) -> Path:
    """The same recording through one of PyAV's encoders."""
    with av.open(str(source)) as read, av.open(str(target), "w") as output:
        stream: Any = output.add_stream(codec, rate=RATE_HZ, layout="mono")
        for frame in read.decode(audio=0):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return target


def transcribed_whole(gateway: Gateway, path: Path, phrases: int) -> int:
    """Send the recording and check every phrase of it; returns by how many bytes the gateway grew meanwhile."""
    for _ in range(2):
        assert gateway.transcribe(wav(speech(PHRASE_S)), language="zh").is_success
    process = psutil.Process(gateway.pid)
    before = process.memory_info().rss
    with path.open("rb") as file, sampled(lambda: process.memory_info().rss) as samples:
        form: dict[str, Any] = {"data": {"language": "zh", "response_format": "verbose_json"}, "files": {"file": file}}
        response = gateway.http.post(TRANSCRIPTIONS, **form, timeout=None)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert abs(answer["duration"] - phrases * PERIOD_S) < 1.0
    starts = [segment["start"] for segment in answer["segments"]]
    np.testing.assert_allclose(starts, np.arange(phrases) * PERIOD_S, atol=0.5)
    assert all(segment["text"] for segment in answer["segments"])
    return max(samples) - before
