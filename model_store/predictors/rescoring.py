"""Attention rescoring: the texts of the CTC search, judged by the attention decoder.

As WeNet and PaddleSpeech do it (wenet/models/transformer/search.py; paddlespeech/s2t/models/u2/u2.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model_store.artifacts.manifest import Decoder
from model_store.engines.seam import Engine
from model_store.errors import PredictFailed
from model_store.predictors.hypotheses import AsrOptions
from model_store.predictors.predictor import FloatArray
from model_store.predictors.search import Path

Array = npt.NDArray[Any]

# Tokens of one run, padding included: ten texts of half a minute. More are shared out over several runs, so that a wide
# beam takes no more memory than was warmed up.
MAX_RUN_TOKENS = 2048
# Texts are padded to a multiple of this, so that an engine sees few shapes.
_BUCKET_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Rescored:
    """A text with its new score, and how sure the decoder is: of each token, and of the whole; natural logs."""

    path: Path
    token_log_probs: tuple[float, ...]
    confidence_log_prob: float


class Rescorer:
    """An attention decoder that is loaded."""

    def __init__(self, decoder: Decoder, engine: Engine) -> None:
        """`engine` runs the decoder's graph."""
        self._decoder = decoder
        self._engine = engine

    def __call__(self, encoded: FloatArray, paths: Sequence[Path], options: AsrOptions) -> list[Rescored]:
        """The texts of `paths` by their new scores, best first, equals in the order in which they came.

        encoded: (T', size) float32, the encoder's frames of the utterance, none of them padding. An empty text is
        judged by the probability of ending at once. Raises PredictFailed.
        """
        length = _padded_length(paths)
        per_run = max(1, MAX_RUN_TOKENS // length)
        found: list[Rescored] = []
        for first in range(0, len(paths), per_run):
            found += self._judge(encoded, paths[first : first + per_run], length, options)
        return sorted(found, key=lambda one: one.path.score, reverse=True)

    def warm_up(self, encoded: FloatArray) -> None:
        """Run the largest shape that there is over these frames."""
        options = AsrOptions()
        longest = MAX_RUN_TOKENS // options.beam_size // _BUCKET_TOKENS * _BUCKET_TOKENS - 1
        self(encoded, [Path((0,) * longest, 0.0)] * options.beam_size, options)

    def _judge(self, encoded: FloatArray, paths: Sequence[Path], length: int, options: AsrOptions) -> list[Rescored]:
        """One run of the decoder, in which all texts look at the same frames."""
        ctc_weight = self._decoder.ctc_weight if options.ctc_weight is None else options.ctc_weight
        reverse_weight = self._reverse_weight(options)
        texts = [path.tokens for path in paths]
        inputs: dict[str, Array] = {"encoded": np.ascontiguousarray(encoded[np.newaxis])}
        inputs["tokens"], inputs["targets"] = self._taught(texts, length)
        if self._decoder.reverse_blocks:
            inputs["reverse_tokens"], inputs["reverse_targets"] = self._taught([text[::-1] for text in texts], length)
        wanted = ("token_log_probs", "reverse_token_log_probs") if reverse_weight else ("token_log_probs",)
        outputs = self._engine.run(inputs, wanted)
        return [
            _rescored(path, [outputs[name][row, : len(path.tokens) + 1] for name in wanted], ctc_weight, reverse_weight)
            for row, path in enumerate(paths)
        ]

    def _reverse_weight(self, options: AsrOptions) -> float:
        if not self._decoder.reverse_blocks:
            return 0.0
        return self._decoder.reverse_weight if options.reverse_weight is None else options.reverse_weight

    def _taught(self, texts: Sequence[tuple[int, ...]], length: int) -> tuple[Array, Array]:
        """What the decoder is told, and what it is to say next, each (N, length) int64."""
        tokens = np.full((len(texts), length), self._decoder.eos, np.int64)
        targets = tokens.copy()
        tokens[:, 0] = self._decoder.sos
        for row, text in enumerate(texts):
            tokens[row, 1 : len(text) + 1] = targets[row, : len(text)] = text
        return tokens, targets


def _padded_length(paths: Sequence[Path]) -> int:
    """Of a row of tokens: the longest text and its end, rounded up."""
    longest = 1 + max((len(path.tokens) for path in paths), default=0)
    return -(-longest // _BUCKET_TOKENS) * _BUCKET_TOKENS


def _rescored(path: Path, log_probs: Sequence[Array], ctc_weight: float, reverse_weight: float) -> Rescored:
    """Score a text by the log-probabilities of its tokens and its end, from the left and, if asked, from the right."""
    if not all(np.isfinite(one).all() for one in log_probs):
        raise PredictFailed("The decoder's answer is not finite. Load the version in fp32, or import it again.")
    left, *right = (one.astype(np.float64) for one in log_probs)
    score, of_tokens = left.sum(), left[:-1]
    if right:
        score = (1 - reverse_weight) * score + reverse_weight * right[0].sum()
        of_tokens = np.logaddexp(of_tokens, right[0][:-1][::-1]) - np.log(2)
    rescored = Path(path.tokens, float(score + ctc_weight * path.score))
    return Rescored(rescored, tuple(of_tokens.tolist()), float(score / len(left)))
