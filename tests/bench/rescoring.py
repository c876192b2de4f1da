"""The time of judging ten hypotheses at full size: in a tree, and as the padded batch that WeNet and PaddleSpeech make.

`python -m tests.bench.rescoring` measures. Both are graphs of the same weights in one process, and take turns.
"""

# Paddle has no types.
# mypy: disallow-subclassing-any=False

import datetime
import functools
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.static import InputSpec

from model_store.artifacts.graphs import DECODER, model_file, params_file
from model_store.artifacts.manifest import Decoder
from model_store.engines.cpu import best_cpu_precision
from model_store.engines.paddle import PaddleEngine
from model_store.engines.seam import Array
from model_store.nets.decoder import TransformerDecoder, build_decoder
from model_store.nets.positions import penalty_of
from model_store.predictors.hypotheses import AsrOptions, Precision
from model_store.predictors.rescoring import Rescorer
from model_store.predictors.search import Path as Text
from tests.bench.contenders import THREADS, UNITS
from tests.bench.machine import machine

SIZE, ROUNDS, BEAM, BAR = 512, 20, 10, 0.6
# Seconds of audio, and tokens of a hypothesis at four a second.
CLIPS = [(3, 12), (10, 40), (28, 112)]
SHAPE = Decoder(
    heads=8, linear_units=2048, blocks=6, reverse_blocks=0, activation="relu", norm_epsilon=1e-5,
    sos=UNITS - 1, eos=UNITS - 1, ctc_weight=0.5, reverse_weight=0.0,
)  # fmt: skip
PADDED = "padded"
Judge = Callable[[Array, Sequence[Text]], object]


class PaddedDecoder(nn.Layer):
    """The same layers over a batch of hypotheses, each with the sound of its own."""

    outputs = ("token_log_probs",)

    def __init__(self, decoder: TransformerDecoder) -> None:
        """Share the layers of `decoder`."""
        super().__init__()
        self.decoder = decoder

    def forward(self, encoded: paddle.Tensor, tokens: paddle.Tensor, targets: paddle.Tensor) -> paddle.Tensor:
        """encoded: (N, T', size); tokens and targets: (N, L) int64."""
        at = paddle.arange(paddle.shape(tokens)[1], dtype="int64")
        x = self.decoder.embed(tokens) * self.decoder.scale + paddle.gather(self.decoder.positions, at)
        penalty = penalty_of((at.unsqueeze(0) <= at.unsqueeze(1)).astype("float32"))
        for block in self.decoder.decoders:
            x = block(x, encoded, penalty)
        logits = self.decoder.output_layer(self.decoder.after_norm(x))
        chosen = paddle.take_along_axis(logits, targets.unsqueeze(-1), axis=-1).squeeze(-1)
        return chosen - paddle.logsumexp(logits, axis=-1)


def main() -> None:
    """Measure and print."""
    print(f"## Rescoring, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}\n")
    print(f"`python -m tests.bench.rescoring` (part of `make bench`) on {machine()}.\n")
    heads = ["precision", "audio", "tokens", "padded batch", "tree", "tree / padded"]
    print("| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads))
    with tempfile.TemporaryDirectory() as folder:
        export(Path(folder))
        for precision in dict.fromkeys(("fp32", best_cpu_precision())):
            judges = contenders(Path(folder), precision)
            for seconds, tokens in CLIPS:
                padded, tree = measure(judges, seconds, tokens)
                figures = f"{padded:.0f} | {tree:.0f} | {tree / padded:.2f}"
                print(f"| {precision} | {seconds} s | {tokens} | {figures} |", flush=True)
    print(
        f"\nMedians of {ROUNDS} rounds in milliseconds, {THREADS} threads: {BEAM} hypotheses that differ from the first"
        f" in one or two tokens, by a decoder of {SHAPE.blocks} blocks, size {SIZE} and {UNITS} units with random"
        f" weights. The bar is {BAR:g}."
    )


def export(folder: Path) -> None:
    """Write the decoder's graph and the one of the padded batch."""
    decoder = build_decoder(SHAPE, SIZE, UNITS)
    batches = [
        InputSpec([None, None, SIZE], "float32", "encoded"),
        *(InputSpec([None, None], "int64", name) for name in ("tokens", "targets")),
    ]
    for name, layer, inputs in ((DECODER, decoder, decoder.inputs), (PADDED, PaddedDecoder(decoder), batches)):
        layer.eval()
        paddle.jit.save(paddle.jit.to_static(layer, input_spec=list(inputs), full_graph=True), str(folder / name))
        assert (folder / model_file(name)).exists()
        assert (folder / params_file(name)).exists()


def contenders(folder: Path, precision: Precision) -> tuple[Judge, Judge]:
    """The padded batch, and the tree."""
    how: dict[str, Any] = {"precision": precision, "threads": THREADS}
    padded, tree = (PaddleEngine(folder, name, PaddedDecoder.outputs, **how) for name in (PADDED, DECODER))
    rescored = functools.partial(Rescorer(SHAPE, tree), options=AsrOptions())
    return functools.partial(_judged, padded), rescored


def _judged(engine: PaddleEngine, encoded: Array, texts: Sequence[Text]) -> object:
    tokens = np.full((len(texts), 1 + max(len(text.tokens) for text in texts)), SHAPE.eos, np.int64)
    targets = tokens.copy()
    for row, text in enumerate(texts):
        tokens[row, 1 : len(text.tokens) + 1] = targets[row, : len(text.tokens)] = text.tokens
    inputs = {"encoded": np.repeat(encoded[np.newaxis], len(texts), axis=0), "tokens": tokens, "targets": targets}
    return engine.run(inputs, PaddedDecoder.outputs)


def measure(judges: tuple[Judge, Judge], seconds: int, tokens: int) -> tuple[float, float]:
    """Median milliseconds of each over clips of about that length, all of them different, as they come."""
    rng = np.random.default_rng(0)
    took_ms: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS + 1):
        encoded = rng.normal(0.0, 1.0, (25 * seconds - number % 5, SIZE)).astype(np.float32)
        texts = hypotheses(rng, tokens)
        for judge, took in zip(judges, took_ms, strict=True):
            began_s = time.perf_counter()
            judge(encoded, texts)
            took.append((time.perf_counter() - began_s) * 1000)
    padded, tree = (statistics.median(itertools.islice(took, 1, None)) for took in took_ms)  # the first prepares
    return padded, tree


def hypotheses(rng: np.random.Generator, tokens: int) -> list[Text]:
    """What a beam comes to: a text, and others that differ from it in one token or two."""
    best = tuple(rng.integers(1, UNITS - 1, tokens).tolist())
    found = {best: None}
    while len(found) < BEAM:
        other = list(best)
        for at in rng.integers(0, tokens, rng.integers(1, 3)):
            other[at] = int(rng.integers(1, UNITS - 1))
        found[tuple(other)] = None
    return [Text(text, float(-number)) for number, text in enumerate(found)]


if __name__ == "__main__":
    main()
