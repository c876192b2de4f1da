"""The clips that everybody is asked: 3.0 s each, with speech from end to end."""

import asyncio
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.audio import AudioSettings, open_recording
from gateway.bench.recordings import Clip, clips_of

CLIP_S: Final = 3.0
# A gateway leaves silence at the ends out, and would compute less than others.
_HEARD_SHARE: Final = 0.98


def write_clips(folder: Path) -> None:
    """Wav files, cut from the bundled samples."""
    for clip in asyncio.run(_whole(clips_of([], cut_s=[CLIP_S]))):
        (folder / clip.name).write_bytes(clip.audio)


async def _whole(clips: Sequence[Clip]) -> list[Clip]:
    return [clip for clip in clips if await _heard_s(clip) >= _HEARD_SHARE * clip.duration_s]


async def _heard_s(clip: Clip) -> float:
    """What a gateway would pass on to its predictors."""
    with await open_recording(io.BytesIO(clip.audio), AudioSettings()) as recording:
        return sum(segment.seconds for segment in recording.segments)
