"""Attention rescoring: the texts of the CTC search, judged by the attention decoder.

With the scores of WeNet and PaddleSpeech (wenet/models/transformer/search.py; paddlespeech/s2t/models/u2/u2.py), which
pad the texts to a batch; here what they begin with in common is computed once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from model_store.artifacts.manifest import Decoder
from model_store.engines.seam import Engine
from model_store.errors import PredictFailed
from model_store.predictors.hypotheses import AsrOptions
from model_store.predictors.predictor import FloatArray
from model_store.predictors.prefixes import Array, PrefixTree
from model_store.predictors.search import Path

# Tokens of one run, common beginnings counted once. More are shared out over several runs: every token of a run costs a
# look at every other, and a wide beam is to take no more memory than was warmed up.
MAX_RUN_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Rescored:
    """A text with its new score, and how sure the decoder is: of each token, and of the whole; natural logs."""

    path: Path
    token_log_probs: tuple[float, ...]
    confidence_log_prob: float


@dataclass(eq=False)
class _Tree:
    """Texts in one reading direction, and the steps of each."""

    nodes: PrefixTree
    prefix: str
    steps: list[list[int]] = field(default_factory=list)

    def add(self, text: tuple[int, ...]) -> None:
        self.steps.append(self.nodes.add(text[::-1] if self.prefix else text))

    def has_room_for(self, text: tuple[int, ...]) -> bool:
        return not self.steps or len(self.nodes) + len(text) <= MAX_RUN_TOKENS

    def inputs(self) -> dict[str, Array]:
        return {self.prefix + name: array for name, array in self.nodes.arrays().items()}


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
        found: list[Rescored] = []
        for trees in self._shared_out(paths):
            found += self._judge(encoded, paths[len(found) :], trees, options)
        return sorted(found, key=lambda one: one.path.score, reverse=True)

    def warm_up(self, encoded: FloatArray) -> None:
        """Run the largest shape that there is over these frames."""
        self(encoded, [Path((0,) * (MAX_RUN_TOKENS - 1), 0.0)], AsrOptions())

    def _shared_out(self, paths: Sequence[Path]) -> Iterator[list[_Tree]]:
        """The texts in order, as many to a run as it holds: a tree for each direction of reading."""
        trees = self._trees()
        for path in paths:
            if not all(tree.has_room_for(path.tokens) for tree in trees):
                yield trees
                trees = self._trees()
            for tree in trees:
                tree.add(path.tokens)
        if paths:
            yield trees

    def _trees(self) -> list[_Tree]:
        prefixes = ("", "reverse_") if self._decoder.reverse_blocks else ("",)
        return [_Tree(PrefixTree(self._decoder.sos, self._decoder.eos), prefix) for prefix in prefixes]

    def _judge(
        self, encoded: FloatArray, paths: Sequence[Path], trees: Sequence[_Tree], options: AsrOptions
    ) -> list[Rescored]:
        """One run of the decoder, in which all texts look at the same frames."""
        ctc_weight = self._decoder.ctc_weight if options.ctc_weight is None else options.ctc_weight
        reverse_weight = self._reverse_weight(options)
        inputs: dict[str, Array] = {"encoded": np.ascontiguousarray(encoded[np.newaxis])}
        for tree in trees:
            inputs |= tree.inputs()
        wanted = {f"{tree.prefix}token_log_probs": tree for tree in trees if reverse_weight or not tree.prefix}
        outputs = self._engine.run(inputs, tuple(wanted))
        steps = zip(*(tree.steps for tree in wanted.values()), strict=True)
        return [
            _rescored(
                path, [outputs[name][of] for name, of in zip(wanted, found, strict=True)], ctc_weight, reverse_weight
            )
            for path, found in zip(paths, steps, strict=False)
        ]

    def _reverse_weight(self, options: AsrOptions) -> float:
        if not self._decoder.reverse_blocks:
            return 0.0
        return self._decoder.reverse_weight if options.reverse_weight is None else options.reverse_weight


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
