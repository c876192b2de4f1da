"""Freed memory goes back to the system, not too often."""

from model_store.engines.heap import Trimmer, trim


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_trimmer_nothing_has_run_never_trims():
    clock = Clock()
    trimmer = Trimmer(10.0, clock)
    clock.now_s = 1e6
    assert not trimmer.look()


def test_trimmer_runs_follow_each_other_waits_for_the_last():
    clock = Clock()
    trimmer = Trimmer(10.0, clock)
    trimmed = []
    for clock.now_s in range(60):
        if clock.now_s <= 32:
            trimmer.has_run()
        if trimmer.look():
            trimmed.append(clock.now_s)
    assert trimmed == [42]


def test_trimmer_one_run_trims_once():
    clock = Clock()
    trimmer = Trimmer(10.0, clock)
    trimmer.has_run()
    assert [trimmer.look() for clock.now_s in range(5, 30, 5)] == [False, True, False, False, False]


def test_trim_says_whether_it_gave_something_back():
    assert trim() in {True, False}
