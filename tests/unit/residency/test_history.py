"""What versions are charged, from what their workers took."""

import random
import statistics

from model_store.residency.events import Size
from model_store.residency.history import History


def lived(history: History, *taken: int, is_whole: bool = True) -> History:
    for bytes_ in taken:
        history = history.lived(Size(bytes_, bytes_), is_whole=is_whole)
    return history


def begun(bytes_: int = 100) -> History:
    return History.begun(Size(bytes_, bytes_), only_grows=False)


def test_history_first_life_replaces_what_the_first_load_came_to() -> None:
    assert lived(begun(), 140).size.steady_bytes == 140


def test_history_lives_come_to_their_mean() -> None:
    assert lived(begun(), 100, 110, 120, 130).size.steady_bytes == 115


def test_history_of_many_lives_follows_those_of_late() -> None:
    assert abs(lived(begun(), *[1000] * 50, *[2000] * 80).size.steady_bytes - 2000) < 20


def test_history_life_that_ended_before_it_was_warm_counts_where_it_took_more() -> None:
    known = lived(begun(), 100)
    assert lived(known, 60, is_whole=False).size.steady_bytes == 100
    assert lived(known, 140, is_whole=False).size.steady_bytes == 120


def test_history_peak_grows_at_once_and_shrinks_by_a_quarter_per_whole_life() -> None:
    known = begun().loaded(Size(100, 300), 1.0)
    assert known.size == Size(100, 300)
    assert lived(known, 100).size.peak_bytes == 250
    assert lived(known, 100, is_whole=False).size.peak_bytes == 300
    assert lived(known, 320).size.peak_bytes == 320


def test_history_on_a_gpu_only_grows_and_leaves_no_room_for_what_differs() -> None:
    known = History.remembered(Size(100, 100), 1.0, only_grows=True)
    for taken in (140, 120):
        known = known.loaded(Size(taken, taken), 2.0)
    assert (known.size, known.load_s) == (Size(140, 140), 2.0)
    assert lived(known, 150, 130, is_whole=False).size.steady_bytes == 150
    assert lived(known, 150).growth_bytes(1000) == 0


def test_history_growth_is_a_share_of_the_size_until_lives_have_told() -> None:
    known = begun(1000)
    assert known.growth_bytes(1000) == 100
    assert lived(known, *[1000] * 99).growth_bytes(1000) < 20


def test_history_growth_of_few_is_that_of_all_and_of_many_adds_up_by_its_squares() -> None:
    known = begun(1000)
    assert [known.growth_bytes(budget) for budget in (10, 1000, 3000, 4000, 100_000)] == [100, 100, 300, 400, 2000]


def test_history_charges_and_growth_together_cover_what_workers_take() -> None:
    rng = random.Random(7)
    known, beyond, errors = begun(112_000), 0, []
    for _ in range(2000):
        taken = [1000 * rng.choice((109, 110, 112, 114, 118, 121, 128)) for _ in range(7)]
        charged = 7 * known.size.steady_bytes
        beyond += sum(taken) > charged + known.growth_bytes(charged)
        errors += [abs(known.size.steady_bytes / bytes_ - 1) for bytes_ in taken]
        known = lived(known, *taken)
    assert beyond < 40  # of 2,000 devices that are full to the brim
    assert statistics.quantiles(errors, n=20)[-1] < 0.1
