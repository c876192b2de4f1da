"""What callers get wrong, over HTTP: each has its documented error, and leaves no worker, file or lease behind."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.integration.live import TRANSCRIPTIONS, Gateway, until
from tests.integration.sound import encoded, silent_film, speech, wav

# No other test of this gateway asks for French, so that a load of its model can come from here alone.
LANGUAGE = {"language": "fr"}
GOOD = wav(speech(2.0))
FLAC = encoded(speech(2.0), "flac", "flac")
M4A = encoded(speech(2.0), "aac", "ipod")
MP3 = encoded(speech(2.0), "libmp3lame", "mp3")
NOISE = np.random.default_rng(5).integers(0, 256, 20_000, np.uint8).tobytes()
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + NOISE
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile '/etc/passwd'\n"
BOUNDARY = "multipart/form-data; boundary=here"


def part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--here\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


FILE_PART = part("file", GOOD, '; filename="a.wav"')


@dataclass(frozen=True)
class Case:
    """A request that is wrong, and what it is told."""

    name: str
    status: int
    code: str
    audio: bytes | None = GOOD
    fields: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] | None = None
    method: str = "POST"
    path: str = TRANSCRIPTIONS

    def sent(self, gateway: Gateway) -> httpx.Response:
        """To the gateway; `raw` replaces the form."""
        body = self.raw
        if body is None:
            # An absent file still makes a form of parts.
            files = {"file": ("a.wav", self.audio)} if self.audio is not None else {"x": (None, "y")}
            body = {"files": files, "data": LANGUAGE | self.fields}
        return gateway.http.request(self.method, self.path, **body)


def chunked(size: int) -> Iterator[bytes]:
    """A form of no announced length with a file of that size."""
    yield b'--here\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    for _ in range(size // 65_536):
        yield bytes(65_536)
    yield b"\r\n--here--\r\n"


def raw(content: Any, content_type: str | None = BOUNDARY) -> dict[str, Any]:
    return {"content": content, "headers": {"content-type": content_type} if content_type else {}}


CASES = [
    Case("no file part", 400, "audio_missing", None),
    Case("empty file", 400, "audio_missing", b""),
    Case("one byte", 415, "audio_undecodable", b"R"),
    Case("wav header that promises sound", 422, "audio_truncated", wav(b"", data_bytes=32_000)),
    Case("text named wav", 415, "audio_undecodable", b"These are words, and not sounds.\n" * 40),
    Case("noise named wav", 415, "audio_undecodable", NOISE),
    Case("jpeg", 415, "audio_undecodable", JPEG),
    Case("truncated wav", 422, "audio_truncated", GOOD[: len(GOOD) // 2]),
    Case("truncated flac", 422, "audio_truncated", FLAC[: len(FLAC) // 2]),
    Case("truncated m4a", 422, "audio_truncated", M4A[: len(M4A) // 2]),
    Case("truncated mp3", 422, "audio_truncated", MP3[: len(MP3) // 2]),
    Case("corrupt mp3", 415, "audio_undecodable", b"ID3\x04\0\0\0\0\0\0\xff\xfb\x90\x00" + NOISE[:3000]),
    Case("video without sound", 415, "audio_undecodable", silent_film()),
    Case("wav of 4 GHz", 415, "audio_undecodable", wav(speech(0.5), 0xFFFFFFFF)),
    Case("wav of 0 Hz", 415, "audio_undecodable", wav(speech(0.5), 0)),
    Case("playlist of a local file", 415, "audio_undecodable", PLAYLIST),
    Case("list of local files", 415, "audio_undecodable", CONCAT),
    Case("too long", 413, "audio_too_long", wav(speech(130.0, 8_000), 8_000)),
    Case("too large by a little", 413, "audio_too_large", bytes(4_000_001)),
    Case("too large as announced", 413, "audio_too_large", bytes(6_000_000)),
    Case("too large in chunks", 413, "audio_too_large", raw=raw(chunked(6_000_000))),
    Case("unknown language", 400, "language_unknown", fields={"language": "xx"}),
    Case("unknown candidate", 400, "language_unknown", fields={"language": [], "languages[]": ["zh", "xx"]}),
    Case("language not said where nothing can hear it", 400, "language_unknown", fields={"language": []}),
    Case("unknown model", 404, "model_unknown", fields={"model": "whisper-9"}),
    Case("model of another language", 400, "language_unknown", fields={"model": "zh-general"}),
    Case("unknown domain", 400, "domain_unknown", fields={"domain": "alchemy"}),
    Case("bad response format", 400, "option_invalid", fields={"response_format": "docx"}),
    Case("bad granularity", 400, "option_invalid", fields={"timestamp_granularities[]": "phoneme"}),
    Case("bad channels", 400, "option_invalid", fields={"channels": "left"}),
    Case("timeout of no time", 400, "option_invalid", fields={"timeout_s": "0"}),
    Case("timeout that is no number", 400, "option_invalid", fields={"timeout_s": "soon"}),
    Case("stream of subtitles", 400, "option_invalid", fields={"stream": "true", "response_format": "srt"}),
    Case("stream neither yes nor no", 400, "option_invalid", fields={"stream": "maybe"}),
    Case(
        "field that is not UTF-8", 400, "option_invalid", raw=raw(part("language", b"\xff") + FILE_PART + b"--here--")
    ),
    Case("two files", 400, "option_invalid", raw=raw(FILE_PART + FILE_PART + b"--here--\r\n")),
    Case("form that breaks off", 400, "option_invalid", raw=raw(FILE_PART[:-500])),
    Case("form that is none", 400, "option_invalid", raw=raw(b"just bytes")),
    Case("no boundary", 400, "option_invalid", raw=raw(FILE_PART, "multipart/form-data")),
    Case("audio as the body", 400, "option_invalid", raw=raw(GOOD, "audio/wav")),
    Case("JSON as the body", 400, "option_invalid", raw={"json": {"model": "auto"}}),
    Case("GET", 405, "not_found", method="GET", raw={}),
    Case("unknown address", 404, "not_found", path="/v1/audio/translations"),
    Case("unknown model's page", 404, "model_unknown", path="/v1/models/whisper-9", method="GET", raw={}),
]


def nothing_left(gateway: Gateway) -> None:
    """No request, no lease, no file, no load."""
    until(lambda: gateway.metric("voxgate_requests_in_flight") == 0, "the end of every request", 5.0)
    assert gateway.metric("voxgate_leases_waiting") == 0
    until(lambda: not open_temporaries(gateway), "the end of every temporary file", 5.0)
    assert not list(gateway.temporary.iterdir())
    assert gateway.metric("voxgate_model_loads_total", model="fr-general") == 0


def open_temporaries(gateway: Gateway) -> list[str]:
    """Files without a name that the gateway holds."""
    links = (link.readlink() for link in Path(f"/proc/{gateway.pid}/fd").iterdir() if link.is_symlink())
    return [str(target) for target in links if str(target).startswith(f"{gateway.temporary}/")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_request_that_is_wrong_is_told_so_and_leaves_nothing(gateway: Gateway, case: Case) -> None:
    response = case.sent(gateway)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (case.status, case.code), error["message"]
    assert error["message"]
    assert response.headers["x-voxgate-code"] == case.code
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["x-request-id"] == response.json()["voxgate"]["request_id"]
    nothing_left(gateway)


SILENT = {
    "silence": wav(np.zeros(32_000)),
    "20 ms": wav(speech(0.02)),
    "wav header and no sound": wav(b""),
    "hum": wav(0.3 * np.sin(2 * np.pi * 50 * np.arange(48_000) / 16_000)),
}


@pytest.mark.parametrize("name", SILENT)
def test_recording_without_speech_is_answered_with_an_empty_text_and_says_why(gateway: Gateway, name: str) -> None:
    response = gateway.transcribe(SILENT[name], **LANGUAGE)
    assert response.status_code == 200
    assert (response.json()["text"], response.json()["voxgate"]["code"]) == ("", "no_speech")
    nothing_left(gateway)


def test_caller_who_hangs_up_while_sending_leaves_nothing(gateway: Gateway) -> None:
    head = f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nHost: x\r\nContent-Type: {BOUNDARY}\r\nContent-Length: 3000000\r\n\r\n"
    gone = gateway.metric("voxgate_requests_total", code="client_gone")
    with socket.create_connection((gateway.http.base_url.host, gateway.http.base_url.port or 0)) as caller:
        caller.sendall(head.encode() + FILE_PART[:100] + bytes(2_000_000))
        until(lambda: open_temporaries(gateway), "an upload on disk")
    until(lambda: gateway.metric("voxgate_requests_total", code="client_gone") == gone + 1, "a caller seen to go")
    nothing_left(gateway)


def test_caller_who_hangs_up_while_a_worker_computes_leaves_nothing(gateway: Gateway) -> None:
    assert gateway.transcribe(GOOD, language="ko").is_success
    worker = gateway.workers()[-1]
    worker.suspend()
    with pytest.raises(httpx.ReadTimeout):
        form: dict[str, Any] = {"files": {"file": ("a.wav", GOOD)}, "data": {"language": "ko"}}
        gateway.http.post(TRANSCRIPTIONS, **form, timeout=1.0)
    nothing_left(gateway)
    worker.resume()
    assert gateway.transcribe(GOOD, language="ko").is_success
    assert worker.is_running()


def test_request_whose_time_is_up_is_told_so_and_the_next_is_served(gateway: Gateway) -> None:
    assert gateway.transcribe(GOOD, language="ja").is_success
    worker = gateway.workers()[-1]
    worker.suspend()
    late = gateway.transcribe(GOOD, language="ja", timeout_s="0.5")
    worker.resume()
    assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert late.headers["x-should-retry"] == "true"
    assert gateway.transcribe(GOOD, language="ja").is_success
    nothing_left(gateway)
