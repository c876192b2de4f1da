"""Where a recording is cut: pure, over one speech decision per frame."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.audio.resample import SAMPLE_RATE_HZ
from gateway.audio.settings import AudioSettings

Span = tuple[int, int]
"""Frames: the first, and the one past the last."""

# A scrap of speech (a "yes", half a word) joins a neighbour across a longer pause: it says too little by itself.
_SCRAP_S = 0.5
_SCRAP_REACH_S = 1.5


class Segment(msgspec.Struct, frozen=True):
    """A stretch of speech in one channel of a recording; `index` counts the segments of all channels in time order."""

    index: int
    channel: int
    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s

    @property
    def start_sample(self) -> int:
        return round(self.start_s * SAMPLE_RATE_HZ)

    @property
    def n_samples(self) -> int:
        return round(self.end_s * SAMPLE_RATE_HZ) - self.start_sample


def segment_speech(
    flags: NDArray[np.bool_],
    frame_s: float,
    settings: AudioSettings,
    levels: Sequence[float] | NDArray[np.float32] | None = None,
) -> list[Span]:
    """Disjoint spans in time order, no longer than `max_segment_s`, that cover each speech frame exactly once.

    A recording that fits into one segment stays whole, from first to last speech. A longer one is cut at every pause of
    `sentence_pause_s`, at pauses from `pause_s` where the span would pass `target_segment_s`, and where speech runs on
    for too long at the quietest frame of the last third. `levels` (one per frame) says what is quiet; without it, what
    is not speech.
    """
    found = runs(flags)
    if not found:
        return []
    longest = _frames(settings.max_segment_s, frame_s)
    margin = min(_frames(settings.margin_s, frame_s), (longest - 1) // 4)
    budget = longest - 2 * margin
    if len(flags) <= longest:
        pieces = [(found[0][0], found[-1][1])]
    else:
        quietness = np.asarray(flags if levels is None else levels, np.float32)
        packed = _packed(_joined(found, settings, frame_s), settings, frame_s, budget)
        cut = [piece for span in packed for piece in _cut(span, budget, quietness)]
        pieces = [spoken for piece in cut for spoken in _spoken(piece, flags)]
    return _with_margins(pieces, margin, len(flags))


def runs(flags: NDArray[np.bool_]) -> list[Span]:
    """Stretches of True."""
    raw, stop = flags.tobytes() + b"\0", 0
    found = []
    while (start := raw.find(1, stop)) >= 0:
        stop = raw.find(0, start)
        found.append((start, stop))
    return found


def _frames(seconds: float, frame_s: float) -> int:
    return int(seconds / frame_s + 1e-6)


def _joined(found: list[Span], settings: AudioSettings, frame_s: float) -> list[Span]:
    """Runs with no pause between them that is long enough to cut at."""
    joined = [found[0]]
    for start, stop in found[1:]:
        if (start - joined[-1][1]) * frame_s < settings.pause_s - 1e-6:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def _packed(units: list[Span], settings: AudioSettings, frame_s: float, budget: int) -> list[Span]:
    target = min(_frames(settings.target_segment_s, frame_s), budget)
    scrap = _frames(_SCRAP_S, frame_s)
    packed = [units[0]]
    for start, stop in units[1:]:
        first, last = packed[-1]
        is_scrap = min(last - first, stop - start) < scrap
        reach_s = max(_SCRAP_REACH_S if is_scrap else 0.0, settings.sentence_pause_s)
        if stop - first <= target and (start - last) * frame_s < reach_s - 1e-6:
            packed[-1] = (first, stop)
        else:
            packed.append((start, stop))
    return packed


def _cut(span: Span, budget: int, quietness: NDArray[np.float32]) -> list[Span]:
    start, stop = span
    pieces = []
    while stop - start > budget:
        earliest = start + max(1, budget * 2 // 3)
        at = earliest + int(quietness[earliest : start + budget + 1].argmin())
        pieces.append((start, at))
        start = at
    return [*pieces, (start, stop)]


def _spoken(piece: Span, flags: NDArray[np.bool_]) -> list[Span]:
    """The piece from its first speech to its last; nothing where a cut left it a part of a pause."""
    start, stop = piece
    found = runs(flags[start:stop])
    return [(start + found[0][0], start + found[-1][1])] if found else []


def _with_margins(pieces: list[Span], margin: int, n_frames: int) -> list[Span]:
    """Each piece widened into the silence around it; neighbours share what lies between them."""
    widened = []
    for at, (start, stop) in enumerate(pieces):
        before = start - pieces[at - 1][1] if at else 2 * start
        after = pieces[at + 1][0] - stop if at + 1 < len(pieces) else 2 * (n_frames - stop)
        widened.append((start - min(margin, before // 2), stop + min(margin, (after + 1) // 2)))
    return widened
