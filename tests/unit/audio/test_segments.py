"""Cutting, over decisions made up by hypothesis and by hand."""

from itertools import groupby
from operator import itemgetter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.audio import AudioSettings, segment_speech
from gateway.audio.segments import runs

FRAME_S = 0.03
SETTINGS = AudioSettings()


def flags_of(*stretches_s: float) -> NDArray[np.bool_]:
    """Silence, speech, silence, ... of so many seconds each."""
    parts = [np.full(round(s / FRAME_S), at % 2 == 1) for at, s in enumerate(stretches_s)]
    return np.concatenate(parts)


@given(st.lists(st.booleans(), max_size=60))
def test_runs_are_the_stretches_of_true(flags: list[bool]) -> None:
    grouped = [(flag, [at for at, _ in group]) for flag, group in groupby(enumerate(flags), itemgetter(1))]
    assert runs(np.array(flags, np.bool_)) == [(places[0], places[-1] + 1) for flag, places in grouped if flag]


stretches = st.lists(st.one_of(st.integers(1, 40), st.integers(41, 2_500)), min_size=1, max_size=40)
cut_settings = st.builds(
    lambda longest, target, pause, more, margin: AudioSettings(
        max_segment_s=longest, target_segment_s=target, pause_s=pause, sentence_pause_s=pause + more, margin_s=margin
    ),
    st.floats(3, 60),
    st.floats(0, 60),
    st.floats(0.09, 2),
    st.floats(0, 2),
    st.floats(0, 1),
)


@given(stretches, cut_settings, st.randoms(use_true_random=False))
def test_segment_speech_any_decisions_cover_all_speech_once_within_the_limit(
    lengths: list[int], settings: AudioSettings, random: object
) -> None:
    flags = np.concatenate([np.full(n, at % 2 == 1) for at, n in enumerate(lengths)])
    levels = np.random.default_rng(len(flags)).normal(size=len(flags)).astype(np.float32)
    for given_levels in (None, levels):
        spans = segment_speech(flags, FRAME_S, settings, given_levels)
        times_covered = np.zeros(len(flags), int)
        for start, stop in spans:
            assert 0 <= start < stop <= len(flags)
            assert (stop - start) * FRAME_S <= settings.max_segment_s + 1e-6
            assert flags[start:stop].any()
            times_covered[start:stop] += 1
        assert times_covered.max(initial=0) <= 1
        assert (times_covered[flags] == 1).all()
        assert spans == sorted(spans)


def test_segment_speech_a_pause_longer_than_a_segment_makes_none_of_its_own() -> None:
    settings = AudioSettings(max_segment_s=3.0, target_segment_s=0.0, pause_s=2.0, sentence_pause_s=2.0, margin_s=1.0)
    flags = flags_of(0.03, 0.06, 1.98, 0.96)  # a pause that is just too short to cut at, and more than a piece
    spans = segment_speech(flags, FRAME_S, settings)
    assert [flags[start:stop].any() for start, stop in spans] == [True, True]


@given(stretches, cut_settings)
def test_segment_speech_cuts_within_speech_only_where_it_must(lengths: list[int], settings: AudioSettings) -> None:
    """A span begins within running speech only when that speech, with its margins, is too long for one segment."""
    flags = np.concatenate([np.full(n, at % 2 == 1) for at, n in enumerate(lengths)])
    joined = flags.copy()
    at = 0
    for position, n in enumerate(lengths):  # the oracle: pauses too short to cut at count as speech
        is_inner = 0 < position < len(lengths) - 1
        if position % 2 == 0 and is_inner and n * FRAME_S < settings.pause_s - 1e-6:
            joined[at : at + n] = True
        at += n
    longest_run = max((len(run) for run in "".join("x" if flag else " " for flag in joined).split()), default=0)
    if longest_run * FRAME_S <= settings.max_segment_s - 2 * settings.margin_s - FRAME_S:
        for start, _ in segment_speech(flags, FRAME_S, settings):
            assert start == 0 or not (joined[start - 1] and joined[start])


def test_segment_speech_no_speech_gives_no_span() -> None:
    assert segment_speech(np.zeros(5_000, bool), FRAME_S, SETTINGS) == []
    assert segment_speech(np.zeros(0, bool), FRAME_S, SETTINGS) == []


def test_segment_speech_short_recording_stays_whole_with_margins() -> None:
    flags = flags_of(3.0, 6.0, 4.5, 6.0, 3.0)
    assert segment_speech(flags, FRAME_S, SETTINGS) == [(100 - 8, 650 + 8)]


def test_segment_speech_long_recording_is_cut_at_sentence_pauses() -> None:
    flags = flags_of(3.0, 6.0, 0.9, 6.0, 0.9, 30.0 - 12.0, 3.0)
    spans = segment_speech(flags, FRAME_S, SETTINGS)
    assert spans == [(92, 308), (322, 538), (552, 1168)]


def test_segment_speech_short_pause_is_cut_only_past_the_target() -> None:
    flags = flags_of(15.0, 3.0, 0.45, 3.0, 0.45, 6.0, 15.0)
    spans = segment_speech(flags, FRAME_S, SETTINGS)
    assert spans == [(492, 723), (723, 938)]  # 3 s and 3 s stay together, 6 s more would pass the target of 10 s


@pytest.mark.parametrize(("pause_s", "n_spans"), [(1.2, 1), (1.8, 2)])
def test_segment_speech_scrap_joins_its_neighbour_unless_far(pause_s: float, n_spans: int) -> None:
    flags = flags_of(15.0, 3.0, pause_s, 0.3, 20.0)
    assert len(segment_speech(flags, FRAME_S, SETTINGS)) == n_spans


def test_segment_speech_without_pause_is_cut_at_the_quietest_frame_of_the_last_third() -> None:
    flags = flags_of(0.9, 60.0, 0.9)
    levels = np.zeros(len(flags), np.float32)
    levels[30 + 400] = -90.0  # quieter, but too early
    levels[30 + 900] = -20.0
    first, *_ = segment_speech(flags, FRAME_S, SETTINGS, levels)
    assert first == (30 - 8, 30 + 900)
