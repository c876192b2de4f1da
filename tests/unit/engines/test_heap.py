"""Freed memory goes back to the system, not too often."""

from model_store.engines.heap import Trimmer, trim


def test_trimmer_trims_once_per_interval():
    # The first reading is the trimmer's own start.
    trimmer = Trimmer(2.0, clock=iter([0.0, 0.5, 1.9, 2.0, 2.1, 3.9, 4.0]).__next__)
    assert [trimmer.after_run() for _ in range(6)] == [False, False, True, False, False, True]


def test_trim_says_whether_it_gave_something_back():
    assert trim() in {True, False}
