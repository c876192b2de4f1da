"""`python -m tests.bench.side.checkpoint ARCHIVE CLIPS FACTS`: a full-size network in PaddleSpeech's layout.

Its weights are random, and its blank is biased so that the texts of the clips (wav files) have a natural length, by
PaddleSpeech's own layers and rescoring; FACTS says which bias that is. To be run in ARCHIVE, for what PaddleSpeech
leaves where it is started; a process of its own, for what importing PaddleSpeech does to one.
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import paddle

from model_store.predictors.search import prefix_beam
from tests.bench.side.blank import Array, bias_for, with_blank_bias
from tests.bench.side.clips import CLIP_S
from tests.bench.side.material import CHARACTERS_PER_S, NETWORK, Facts
from tests.reference.answering import keep_pip_out, loaded
from tests.reference.networks import BEAM_SIZE

# Of so many clips; they are enough to know by, and each costs a rescoring for every bias that is tried.
_HEARD: Final = 8


class _Heard(NamedTuple):
    """A clip: what PaddleSpeech takes for it, and what its encoder makes of it, with log-probabilities (T, V)."""

    features: Any
    length: Any
    encoded: Any
    log_probs: Array


def main() -> None:
    """Write the archive, and FACTS once it is whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("archive", "clips", "facts"):
        parser.add_argument(name, type=Path)
    said = parser.parse_args()
    keep_pip_out()
    from tests.reference.archive import write_archive

    write_archive(NETWORK, said.archive)
    clips = sorted(said.clips.glob("*.wav"))
    with paddle.no_grad():
        facts = bias_blank(loaded(NETWORK), clips[:: max(1, len(clips) // _HEARD)], said.archive)
    said.facts.write_bytes(msgspec.json.encode(facts))


def bias_blank(executor: Any, clips: list[Path], archive: Path) -> Facts:
    """Find the bias and put it into the checkpoint."""
    heard = [_heard(executor, clip) for clip in clips]

    def tokens_at(bias: float) -> float:
        return statistics.mean(len(_text(executor, one, bias)) for one in heard)

    bias = bias_for(CHARACTERS_PER_S * CLIP_S, tokens_at)
    facts = Facts(blank_bias=bias, characters_per_s=tokens_at(bias) / CLIP_S)
    layer = executor.model.ctc.ctc_lo
    biases = layer.bias.numpy()
    biases[0] += bias
    layer.bias.set_value(biases)
    paddle.save(dict(executor.model.state_dict()), str(archive / f"{NETWORK.checkpoint}.pdparams"))
    return facts


def _heard(executor: Any, clip: Path) -> _Heard:
    executor.preprocess(NETWORK.tag, clip.as_posix())
    features, length = executor._inputs["audio"], executor._inputs["audio_len"]
    encoded, _ = executor.model._forward_encoder(features, length)
    return _Heard(features, length, encoded, executor.model.ctc.log_softmax(encoded)[0].numpy())


def _text(executor: Any, one: _Heard, bias: float) -> tuple[int, ...]:
    """Units of the text that PaddleSpeech would choose; its own search takes a second for what ours finds as well."""
    log_probs = with_blank_bias(one.log_probs, bias)
    ids = (-log_probs).argsort(axis=1)[:, :BEAM_SIZE]
    paths = prefix_beam(np.take_along_axis(log_probs, ids, axis=1), ids.astype(np.int32), BEAM_SIZE)
    executor.model._ctc_prefix_beam_search = _answering([(path.tokens, path.score) for path in paths], one.encoded)
    weight = executor.config.decode.ctc_weight
    return tuple(executor.model.attention_rescoring(one.features, one.length, len(paths), ctc_weight=weight))


def _answering(*answer: Any) -> Callable[..., Any]:
    return lambda *_args: answer


if __name__ == "__main__":
    main()
