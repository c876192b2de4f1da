"""Rescoring, against the same sums written out, over a decoder small enough to be a table."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.artifacts.manifest import Decoder
from model_store.errors import PredictFailed
from model_store.predictors.hypotheses import AsrOptions
from model_store.predictors.rescoring import MAX_RUN_TOKENS, Rescored, Rescorer
from model_store.predictors.search import Path

UNITS, SOS, EOS = 7, 5, 6
ENCODED = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
Array = np.ndarray[Any, Any]


def _decoder(*, reverse_blocks: int = 1, ctc_weight: float = 0.5, reverse_weight: float = 0.3) -> Decoder:
    return Decoder(
        heads=1, linear_units=1, blocks=1, reverse_blocks=reverse_blocks, activation="relu", norm_epsilon=1e-5,
        sos=SOS, eos=EOS, ctc_weight=ctc_weight, reverse_weight=reverse_weight,
    )  # fmt: skip


class Bigrams:
    """An attention decoder that remembers one token, and hears of the sound only how loud it is."""

    def __init__(self, seed: int) -> None:
        left, right = np.random.default_rng(seed).normal(0, 2, (2, UNITS, UNITS))
        self.tables = {"": left, "reverse_": right}
        self.inputs: list[Mapping[str, Array]] = []

    def log_prob(self, direction: str, before: int, token: int, encoded: Array) -> float:
        logits = self.tables[direction][before] * (1 + np.abs(encoded).mean())
        return float(logits[token] - np.log(np.exp(logits).sum()))

    def run(self, inputs: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
        """Answers nonsense to steps that nobody takes, where a decoder may."""
        self.inputs.append(inputs)
        (encoded,) = inputs["encoded"]
        answers = {}
        for name in wanted:
            direction = name.removesuffix("token_log_probs")
            tokens, steps = inputs[f"{direction}tokens"], inputs[f"{direction}steps"]
            answers[name] = np.full(len(steps), np.nan, np.float32)
            for at, (node, token) in enumerate(steps):
                if at == 0 or (node, token) != (0, EOS) or (0, EOS) not in steps[:at].tolist():
                    answers[name][at] = self.log_prob(direction, tokens[node], token, encoded)
        return answers

    def of_text(self, direction: str, text: Sequence[int]) -> list[float]:
        """The log-probability of each token and of the end, one after the other."""
        said = [SOS, *text]
        return [self.log_prob(direction, said[i], token, ENCODED) for i, token in enumerate([*text, EOS])]


def _paths(rng: np.random.Generator, count: int, longest: int = 6) -> list[Path]:
    lengths = rng.integers(0, longest + 1, count)
    return [Path(tuple(rng.integers(1, 5, n).tolist()), float(-rng.exponential(5))) for n in lengths]


def _judged(bigrams: Bigrams, paths: list[Path], *, decoder: Decoder | None = None, **options: Any) -> list[Rescored]:
    return Rescorer(decoder or _decoder(), bigrams)(ENCODED, paths, AsrOptions(**options))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.floats(0, 2), st.floats(0, 1))
def test_rescorer_any_texts_and_weights_give_the_sums_written_out(seed, count, ctc_weight, reverse_weight):
    bigrams, paths = Bigrams(seed), _paths(np.random.default_rng(seed), count)
    found = _judged(bigrams, paths, ctc_weight=ctc_weight, reverse_weight=reverse_weight)
    expected = [
        (1 - reverse_weight) * sum(bigrams.of_text("", path.tokens))
        + reverse_weight * sum(bigrams.of_text("reverse_", path.tokens[::-1]))
        + ctc_weight * path.score
        for path in paths
    ]
    order = sorted(range(count), key=expected.__getitem__, reverse=True)
    assert [one.path.score for one in found] == pytest.approx([expected[i] for i in order], abs=1e-4)
    assert sorted(one.path.tokens for one in found) == sorted(path.tokens for path in paths)


def test_rescorer_weights_that_are_not_asked_are_the_versions_own():
    paths = _paths(np.random.default_rng(1), 5)
    own = _judged(Bigrams(1), paths, decoder=_decoder(ctc_weight=0.7, reverse_weight=0.2))
    asked = _judged(Bigrams(1), paths, decoder=_decoder(ctc_weight=9.0), ctc_weight=0.7, reverse_weight=0.2)
    assert own == asked
    assert own != _judged(Bigrams(1), paths)


def test_rescorer_decoder_that_reads_one_way_takes_no_reverse_weight():
    bigrams = Bigrams(2)
    (found,) = _judged(bigrams, [Path((1, 2, 3), -4.0)], decoder=_decoder(reverse_blocks=0), reverse_weight=0.9)
    assert found.path.score == pytest.approx(sum(bigrams.of_text("", (1, 2, 3))) - 0.5 * 4.0, abs=1e-5)
    assert bigrams.inputs[0].keys() == {"encoded", "tokens", "depths", "seen", "steps"}


def test_rescorer_empty_text_is_judged_by_its_end():
    bigrams = Bigrams(3)
    (found,) = _judged(bigrams, [Path((), -2.0)], ctc_weight=0.0, reverse_weight=0.0)
    assert found.path.score == pytest.approx(bigrams.log_prob("", SOS, EOS, ENCODED), abs=1e-6)
    assert found.token_log_probs == ()
    assert found.confidence_log_prob == pytest.approx(found.path.score)


def test_rescorer_tokens_are_as_sure_as_both_directions_on_average():
    bigrams, text = Bigrams(4), (1, 1, 2)
    (found,) = _judged(bigrams, [Path(text, 0.0)], reverse_weight=0.25)
    left, right = bigrams.of_text("", text), bigrams.of_text("reverse_", text[::-1])
    both = [(math.exp(left[i]) + math.exp(right[2 - i])) / 2 for i in range(3)]
    assert [math.exp(one) for one in found.token_log_probs] == pytest.approx(both, abs=1e-6)
    assert found.confidence_log_prob == pytest.approx((0.75 * sum(left) + 0.25 * sum(right)) / 4, abs=1e-6)


def test_rescorer_equal_scores_stay_in_the_order_of_the_search():
    class Even(Bigrams):
        """Finds everything equally likely."""

        def log_prob(self, direction: str, before: int, token: int, encoded: Array) -> float:
            return -1.0

    paths = [Path((token,), -3.0) for token in (4, 2, 3, 1)]
    assert [one.path.tokens for one in _judged(Even(0), paths)] == [(4,), (2,), (3,), (1,)]


def test_rescorer_more_than_one_run_holds_is_shared_out_and_scored_the_same():
    rng = np.random.default_rng(5)
    paths = [Path(tuple(rng.integers(1, 5, 300).tolist()), float(-i)) for i in range(20)]
    shared_out, alone = Bigrams(5), Bigrams(5)
    found = _judged(shared_out, paths)
    assert len(shared_out.inputs) > 1
    assert all(inputs["tokens"].size <= MAX_RUN_TOKENS for inputs in shared_out.inputs)
    one_by_one = [_judged(alone, [path])[0] for path in paths]
    assert found == sorted(one_by_one, key=lambda one: one.path.score, reverse=True)


def test_rescorer_lengths_of_half_a_minute_give_few_shapes():
    bigrams = Bigrams(6)
    for length in range(200):
        _judged(bigrams, [Path((1,) * length, 0.0)])
    assert len({inputs["tokens"].shape for inputs in bigrams.inputs}) <= 26


def test_warm_up_of_the_rescorer_fills_a_run():
    bigrams = Bigrams(7)
    Rescorer(_decoder(), bigrams).warm_up(ENCODED)
    assert MAX_RUN_TOKENS * 0.95 <= max(inputs["tokens"].size for inputs in bigrams.inputs) <= MAX_RUN_TOKENS


def test_rescorer_answer_that_is_not_finite_raises_predict_failed():
    class Broken(Bigrams):
        """A graph that overflows."""

        def log_prob(self, direction: str, before: int, token: int, encoded: Array) -> float:
            return math.nan

    with pytest.raises(PredictFailed, match="finite"):
        _judged(Broken(0), [Path((1,), 0.0)])
