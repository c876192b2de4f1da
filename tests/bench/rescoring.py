"""The time of judging ten hypotheses at full size: in a tree, and as the padded batch that WeNet and PaddleSpeech make.

`python -m tests.bench.rescoring` measures. Both are graphs of the same weights in one process, and take
turns.
"""

# Paddle has no types.
# mypy: disallow-subclassing-any=False

import datetime
import functools
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.static import InputSpec

from model_store.artifacts.graphs import DECODER, can_convert, model_file, params_file
from model_store.artifacts.manifest import Decoder
from model_store.engines.choice import make_engine
from model_store.engines.openvino import save, save_compressed
from model_store.engines.seam import Array, Engine
from model_store.importers.conversion import to_onnx
from model_store.nets.decoder import TransformerDecoder, build_decoder
from model_store.nets.positions import penalty_of
from model_store.predictors.hypotheses import AsrOptions
from model_store.predictors.rescoring import Rescorer
from model_store.predictors.search import Path as Text
from tests.bench.beams import Beam, beams
from tests.bench.encoder.contenders import THREADS, UNITS
from tests.bench.machine import machine
from tests.bench.markdown import markdown_table
from tests.bench.side.ways import Way, ways

SIZE, ROUNDS, BEAM, BAR = 512, 20, 10, 0.6
CLIPS_S = (3, 10, 28)
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
    with tempfile.TemporaryDirectory() as folder:
        export(Path(folder))
        recordings = {seconds: beams(seconds, ROUNDS + 1, BEAM) for seconds in CLIPS_S}
        rows = [[way.shown, *row] for way in ways() for row in measured(contenders(Path(folder), way), recordings)]
    print(markdown_table(["engine", "audio", "tokens", "padded batch", "tree", "tree / padded"], rows))
    print(
        f"\nMedians of {ROUNDS} recordings in milliseconds, {THREADS} threads: the {BEAM} hypotheses that the bundled"
        f" recogniser for Mandarin finds in frozen clips, joined and cut to that length, judged by a decoder of"
        f" {SHAPE.blocks} blocks, size {SIZE} and {UNITS} units with random weights. The bar is {BAR:g}."
    )


def measured(judges: tuple[Judge, Judge], recordings: dict[int, list[Beam]]) -> Iterator[list[str]]:
    """A row of each length."""
    for seconds, found in recordings.items():
        padded, tree = measure(judges, found)
        tokens = statistics.median(len(text.tokens) for beam in found for text in beam.texts)
        yield [f"{seconds} s", f"{tokens:.0f}", f"{padded:.0f}", f"{tree:.0f}", f"{tree / padded:.2f}"]


def export(folder: Path) -> None:
    """Write the decoder's graph and the one of the padded batch."""
    decoder = build_decoder(SHAPE, SIZE, UNITS)
    batches = [
        InputSpec([None, None, SIZE], "float32", "encoded"),
        *(InputSpec([None, None], "int64", name) for name in ("tokens", "targets")),
    ]
    halved = folder / "halved"
    halved.mkdir()
    for name, layer, inputs in ((DECODER, decoder, decoder.inputs), (PADDED, PaddedDecoder(decoder), batches)):
        layer.eval()
        paddle.jit.save(paddle.jit.to_static(layer, input_spec=list(inputs), full_graph=True), str(folder / name))
        assert (folder / model_file(name)).exists()
        assert (folder / params_file(name)).exists()
        if can_convert():
            save(to_onnx(folder, name, folder), halved, name, is_halved=True)
            save_compressed(halved, folder, name)


def contenders(folder: Path, way: Way) -> tuple[Judge, Judge]:
    """The padded batch, and the tree."""
    how: dict[str, Any] = {"precision": way.precision, "threads": THREADS}
    padded, tree = (make_engine(way.engine, folder, name, PaddedDecoder.outputs, **how) for name in (PADDED, DECODER))
    rescored = functools.partial(Rescorer(SHAPE, tree), options=AsrOptions())
    return functools.partial(_judged, padded), rescored


def _judged(engine: Engine, encoded: Array, texts: Sequence[Text]) -> object:
    tokens = np.full((len(texts), 1 + max(len(text.tokens) for text in texts)), SHAPE.eos, np.int64)
    targets = tokens.copy()
    for row, text in enumerate(texts):
        tokens[row, 1 : len(text.tokens) + 1] = targets[row, : len(text.tokens)] = text.tokens
    inputs = {"encoded": np.repeat(encoded[np.newaxis], len(texts), axis=0), "tokens": tokens, "targets": targets}
    return engine.run(inputs, PaddedDecoder.outputs)


def measure(judges: tuple[Judge, Judge], found: Sequence[Beam]) -> tuple[float, float]:
    """Median milliseconds of each over recordings of about the same length, as they come."""
    rng = np.random.default_rng(0)
    took_ms: tuple[list[float], list[float]] = ([], [])
    for beam in found:
        encoded = rng.normal(0.0, 1.0, (beam.n_frames, SIZE)).astype(np.float32)
        for judge, took in zip(judges, took_ms, strict=True):
            began_s = time.perf_counter()
            judge(encoded, beam.texts)
            took.append((time.perf_counter() - began_s) * 1000)
    padded, tree = (statistics.median(itertools.islice(took, 1, None)) for took in took_ms)  # the first prepares
    return padded, tree


if __name__ == "__main__":
    main()
