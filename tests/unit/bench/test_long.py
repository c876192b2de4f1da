"""Long recordings: how they are made, whether memory is flat, and the verdicts."""

import wave
from pathlib import Path

import pytest

from gateway.audio import SAMPLE_RATE_HZ
from tests.bench.long.batching import Batches, batches_of
from tests.bench.long.command import Commands, Spoken, verdict
from tests.bench.long.hour import Hour, best_batch, verdicts
from tests.bench.long.memory import Sample, flatness
from tests.bench.long.recording import write_recording, write_segments
from tests.bench.long.send import Sent
from tests.bench.long.subjects import FULL, STARTER, Subject
from tests.bench.side.bare import Turn
from tests.bench.side.material import Facts, Material
from tests.bench.side.ways import Way

WAY = Way("paddle", "bf16")
MIB = 2**20


def subject(name: str = FULL, speech_s: float = 1000.0) -> Subject:
    return Subject(name, Material(Path(), Path(), Facts(0.0, 4.0), "0" * 64), Path(), speech_s)


def samples(gateway: list[int], workers: list[int]) -> list[Sample]:
    return [
        Sample(float(at), one * MIB, other * MIB) for at, (one, other) in enumerate(zip(gateway, workers, strict=True))
    ]


def turn(batch: int, audio_s_per_s: float) -> Turn:
    return Turn(batch, [500.0, 1500.0], {}, 12.0, 2 * audio_s_per_s)


def test_write_recording_is_as_long_as_asked_and_its_segments_are_its_speech(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "recording.wav", 1.5)
    with wave.open(str(recording)) as made:
        assert made.getnframes() == 90 * SAMPLE_RATE_HZ
    (folder := tmp_path / "segments").mkdir()
    speech_s = write_segments(recording, folder)
    seconds = []
    for file in sorted(folder.iterdir()):
        with wave.open(str(file)) as segment:
            seconds.append(segment.getnframes() / SAMPLE_RATE_HZ)
    assert len(seconds) > 10
    assert 60 < speech_s < 90
    assert sum(seconds) == pytest.approx(speech_s, abs=0.01)


def test_write_recording_twice_is_the_same(tmp_path: Path) -> None:
    one, other = (write_recording(tmp_path / name, 0.7).read_bytes() for name in ("one.wav", "other.wav"))
    assert one == other


def test_flatness_compares_the_last_tenth_with_the_middle_and_not_with_what_came_before_the_work() -> None:
    found = flatness(samples([10] + [50] * 99, [30] * 40 + [100] * 15 + [400] + [100] * 34 + [110] * 10))
    assert found.middle_bytes == 150 * MIB
    assert found.late_bytes == 160 * MIB
    assert found.gateway_grew_bytes == 40 * MIB
    assert found.ratio == pytest.approx(16 / 15)


def test_flatness_of_two_samples_takes_the_last() -> None:
    assert flatness(samples([10, 12], [20, 21])).ratio == 1.0


def test_hour_cpu_is_told_for_a_second_of_speech() -> None:
    bound = [Turn(8, [1000.0], {}, 12.0, 20.0, 1.0), Turn(8, [2000.0], {}, 12.0, 30.0, 2.0)]
    flat, batches = flatness(samples([1, 1], [1, 1])), Batches(2.0, 8.0, 30.0, 10.0)
    one = Hour(subject(speech_s=100.0), WAY, Sent(5.0, 400, {}), [], bound, flat, 7.0, batches)
    assert one.cpu_ms_each == (60.0, 70.0)


def test_batches_of_metrics_are_the_bulk_ones() -> None:
    found = batches_of(
        'voxgate_batch_segments_count{class="bulk"} 4.0\n'
        'voxgate_batch_segments_sum{class="bulk"} 14.0\n'
        'voxgate_batch_segments_count{class="interactive"} 9.0\n'
        'voxgate_batch_audio_seconds_total{class="bulk",kind="speech"} 60.0\n'
        'voxgate_batch_audio_seconds_total{class="bulk",kind="padding"} 20.0\n'
        'voxgate_batch_audio_seconds_total{class="interactive",kind="padding"} 5.0\n'
    )
    assert (found.each, found.padding) == (3.5, 0.25)


def test_turn_of_clips_of_many_lengths_counts_their_audio_over_all_runs() -> None:
    assert turn(4, 30.0).audio_s_per_s == 30.0


def test_best_batch_gets_the_most_audio_done() -> None:
    assert best_batch([turn(1, 20.0), turn(8, 30.0), turn(16, 29.0)]) == 8


@pytest.mark.parametrize(
    ("wall_s", "late_mib", "gateway_mib", "hold"),
    [
        (31.2, 104, 50, [True, True]),
        (31.3, 104, 50, [False, True]),
        (30.0, 106, 50, [True, False]),
        (30.0, 100, 150, [True, False]),
    ],
)
def test_hour_verdicts_hold_from_four_fifths_of_the_bound_and_while_memory_is_flat(
    wall_s: float, late_mib: int, gateway_mib: int, hold: list[bool]
) -> None:
    # The gateway's part does not grow after the first sample, so the worker's has to grow for both.
    workers_mib = late_mib + (late_mib - 100) * gateway_mib // 100
    taken = samples([0] + [gateway_mib] * 99, [100] * 70 + [workers_mib] * 30)
    sent = Sent(wall_s, 4000, {})
    bound = [turn(8, 30.0), turn(8, 50.0), turn(8, 40.0)]
    one = Hour(subject(), WAY, sent, bound[:1], bound, flatness(taken), 50.0, Batches(2.0, 8.0, 30.0, 10.0))
    assert one.bound_s_per_s == 40.0
    assert [line.endswith(": holds.") for line in verdicts(one)] == hold


@pytest.mark.parametrize(("name", "beside_ms", "holds"), [(FULL, 1050.0, True), (FULL, 1051.0, False)])
def test_command_verdict_holds_within_a_second_of_the_idle_median(name: str, beside_ms: float, holds: bool) -> None:
    assert _is_held(name, beside_ms) is holds


@pytest.mark.parametrize(("beside_ms", "holds"), [(150.0, True), (151.0, False)])
def test_command_verdict_of_a_starter_model_holds_within_a_tenth_of_a_second(beside_ms: float, holds: bool) -> None:
    assert _is_held(STARTER, beside_ms) is holds


def _is_held(name: str, beside_ms: float) -> bool:
    idle = [Spoken(float(at), 50.0) for at in range(20)]
    beside = [Spoken(float(at), beside_ms if at % 10 == 0 else 60.0) for at in range(100)]
    return verdict(Commands(subject(name), WAY, idle, beside, True)).endswith(": holds.")
