"""Whatever is uploaded ends in a leaf of the error tree, and nothing but the upload is ever opened."""

import io
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.audio import AudioSettings, ChannelMode, open_recording
from model_store.errors import AudioMissing, AudioUndecodable, NoSpeech, RequestError

Maker = Callable[..., Any]


async def opened(data: bytes, channels: ChannelMode = "mix") -> int:
    with await open_recording(io.BytesIO(data), AudioSettings(), channels=channels) as recording:
        return len(recording.segments)


def unlinked_files() -> set[str]:
    links = list(Path("/proc/self/fd").iterdir())
    return {link.readlink().as_posix() for link in links if link.is_symlink()}


NOT_AUDIO = {
    "one byte": b"R",
    "four bytes": b"RIFF",
    "text": b"hello, this is no recording\n" * 400,
    "html": b"<!doctype html><html><body>404</body></html>" * 50,
    "zeros": bytes(100_000),
    "ones": b"\xff" * 100_000,
    "random": np.random.default_rng(1).bytes(200_000),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(2_000),
    "zip": b"PK\x03\x04" + bytes(2_000),
    "id3 alone": b"ID3\x04\x00\x00\x00\x00\x0f\x76" + bytes(2_038),
    "nested boxes": b"".join(struct.pack(">I4s", 0x1000 - 8 * depth, b"moov") for depth in range(500)) + bytes(96),
    "session description": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
}


@pytest.mark.parametrize("name", NOT_AUDIO)
async def test_open_what_is_no_audio_is_undecodable(name: str) -> None:
    with pytest.raises(AudioUndecodable):
        await opened(NOT_AUDIO[name])


async def test_open_wav_of_no_known_codec_is_undecodable(wav: Maker) -> None:
    with pytest.raises(AudioUndecodable, match="codec"):
        await opened(wav(bytes(64_000), tag=0x9999))


async def test_open_nothing_is_missing() -> None:
    with pytest.raises(AudioMissing):
        await opened(b"")


@pytest.mark.parametrize("rate_hz", [0, 1, 100, 2**31 - 1, 2**32 - 1])
async def test_open_wav_of_absurd_rate_is_undecodable(rate_hz: int, wav: Maker, speech: Maker) -> None:
    with pytest.raises(AudioUndecodable):
        await opened(wav(speech(1.0), rate=rate_hz))


@pytest.mark.parametrize("n_channels", [0, 65_535])
async def test_open_wav_of_absurd_channels_is_undecodable(n_channels: int, wav: Maker, speech: Maker) -> None:
    with pytest.raises(AudioUndecodable):
        await opened(wav(speech(1.0), channels=n_channels))


async def test_open_video_without_sound_says_so(silent_film: bytes) -> None:
    with pytest.raises(AudioUndecodable, match="no audio track") as caught:
        await opened(silent_film)
    assert caught.value.details["container"].startswith("mov")


async def test_open_wav_of_no_samples_holds_no_speech(wav: Maker) -> None:
    with pytest.raises(NoSpeech, match="0 ms"):
        await opened(wav(b""))


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{path}\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{path}'\nfile '{url}'\n",
        "ffconcat version 1.0\nfile 'file:{path}'\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        "<Representation><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "<smil><body><audio src='{url}'/></body></smil>",
        "{url}\n",
        "{path}\n",
    ],
)
async def test_open_playlist_opens_no_file_and_no_address(
    playlist: str, tmp_path: Path, wav: Maker, speech: Maker
) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav(speech(2.0)))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/secret.wav"
        with pytest.raises(AudioUndecodable):
            await opened(playlist.format(path=secret, url=url).encode())
        with pytest.raises(BlockingIOError):  # nobody called
            server.accept()


async def test_open_source_with_a_telling_name_is_judged_by_its_bytes_alone(tmp_path: Path) -> None:
    """FFmpeg guesses by file names too: a playlist by another name, or a name that is an address, changes nothing."""
    for name in ("list.m3u8", "list.ffconcat", "raw.s16le"):
        path = tmp_path / name
        path.write_bytes(b"\x01\x02" * 50_000)
        with path.open("rb") as file, pytest.raises(AudioUndecodable):
            await open_recording(file, AudioSettings())


@pytest.mark.parametrize("codec", [("aac", "adts"), ("libopus", "webm"), ("wavpack", "wv"), ("flac", "flac")])
async def test_open_eight_planes_are_read_without_running_past_them(
    codec: tuple[str, str], encode: Maker, speech: Maker
) -> None:
    """PyAV 18.1 crashes the process on these when it is asked for planes: an upload must not do that."""
    sound = np.stack([speech(4.0 / 3, 48_000) * (lane + 1) / 8 for lane in range(8)])
    assert await opened(encode(sound, *codec, 48_000)) == 1
    assert await opened(encode(sound, *codec, 48_000), "separate") >= 5


@pytest.fixture(scope="module")
def seeds(encode: Maker, speech: Maker) -> list[bytes]:
    kinds = [
        ("pcm_s16le", "wav", 16_000),
        ("flac", "flac", 16_000),
        ("libmp3lame", "mp3", 16_000),
        ("libopus", "ogg", 48_000),
        ("libopus", "webm", 48_000),
        ("aac", "mp4", 16_000),
        ("aac", "adts", 16_000),
        ("pcm_s16be", "caf", 16_000),
        ("wavpack", "wv", 16_000),
    ]
    return [encode(speech(0.5, rate_hz), codec, container, rate_hz) for codec, container, rate_hz in kinds]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(data=st.data())
async def test_open_damaged_file_gives_a_leaf_of_the_tree(seeds: list[bytes], data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(seeds)))
    reach = min(len(damaged), data.draw(st.sampled_from([64, 400, 100_000])))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, reach - 1), st.integers(0, 255)), max_size=12)):
        damaged[at] = value
    channels = data.draw(st.sampled_from(["mix", "separate"]))
    try:
        assert await opened(bytes(damaged), channels) >= 1
    except RequestError as error:
        assert error.message


async def test_open_every_failure_leaves_no_spool_open(wav: Maker, speech: Maker, encode: Maker) -> None:
    flac = encode(speech(3.0), "flac", "flac")
    before = unlinked_files()
    for data in (flac[: len(flac) // 2], wav(bytes(64_000)), wav(speech(1.0), rate=1), b"", b"x" * 9_999):
        with pytest.raises(RequestError):
            await opened(data)
    assert {name for name in unlinked_files() - before if "deleted" in name} == set()


async def test_open_broken_clock_does_not_inflate_a_small_file(encode: Maker, speech: Maker) -> None:
    """Time stamps a minute apart would make hours of silence of a few kilobytes."""
    data = bytearray(encode(speech(2.0), "pcm_s16be", "caf"))
    at = data.index(b"lpcm") + 12  # frames per packet
    data[at : at + 4] = struct.pack(">I", 36_609)
    with await open_recording(io.BytesIO(bytes(data)), AudioSettings()) as recording:
        assert recording.duration_s < 2 + 60 + 3
