"""A recording of one hour, as it is recorded and as it is sent."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.live import Gateway
from tests.integration.long import converted, transcribed_whole, written

MIB = 2**20
_PHRASES = 360
_CODECS = {"wav": None, "mp3": "libmp3lame", "opus": "libopus"}

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("kind", _CODECS)
def test_an_hour_is_recognised_phrase_by_phrase_and_the_gateway_grows_by_less_than_100_mb(
    new_gateway: Callable[..., Gateway], tmp_path: Path, kind: str
) -> None:
    recording = written(tmp_path / "hour.wav", _PHRASES)
    if codec := _CODECS[kind]:
        recording = converted(recording, tmp_path / f"hour.{kind}", codec)
    gateway = new_gateway().started()
    grown = transcribed_whole(gateway, recording, _PHRASES)
    assert grown < 100 * 10**6, f"{grown / MIB:.0f} MiB"
