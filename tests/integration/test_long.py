"""A recording of ten minutes; the full hour is in tests/soak."""

from collections.abc import Callable
from pathlib import Path

from tests.integration.live import Gateway
from tests.integration.long import transcribed_whole, written

MIB = 2**20
_PHRASES = 60


def test_ten_minutes_are_recognised_phrase_by_phrase_and_the_gateway_hardly_grows(
    new_gateway: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = new_gateway().started()
    grown = transcribed_whole(gateway, written(tmp_path / "long.wav", _PHRASES), _PHRASES)
    assert grown < 60 * MIB, f"{grown / MIB:.0f} MiB"
