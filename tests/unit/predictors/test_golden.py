"""Search and rescoring over our own graphs, against what WeNet's own code answers for the same checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from model_store.artifacts.graphs import DECODER, ENCODER, read_record
from model_store.artifacts.manifest import Manifest
from model_store.artifacts.store import read_manifest
from model_store.engines.paddle import PaddleEngine
from model_store.predictors.asr import AsrPredictor
from model_store.predictors.frames import Frames
from model_store.predictors.hypotheses import AsrOptions
from model_store.predictors.load import load
from model_store.predictors.rescoring import Rescorer
from model_store.predictors.search import greedy, prefix_beam

WENET = Path(__file__).parents[2] / "data" / "wenet"
SOURCES = sorted(path.parent.name for path in WENET.glob("*/golden.json"))
OUTPUTS = ("top_log_probs", "top_ids", "blank_log_probs", "encoded_frames", "log_probs", "encoded")


class Imported(NamedTuple):
    """One of WeNet's models in our hands: its manifest, what it hears in each utterance, and WeNet's answers."""

    manifest: Manifest
    frames: list[Frames]
    rescorer: Rescorer
    predictor: AsrPredictor
    answers: dict[str, Any]


@pytest.fixture(scope="module", params=SOURCES)
def imported(request: pytest.FixtureRequest, goldens: Callable[[str], Any]) -> Imported:
    golden = goldens(request.param)
    manifest, record = read_manifest(golden.version_dir), read_record(golden.graph_dir)
    arrays = np.load(golden.source / "golden.npz")
    outputs = PaddleEngine(golden.graph_dir, ENCODER, record.graphs[ENCODER]).run(
        {"feats": arrays["feats"], "lengths": arrays["feat_lens"].astype(np.int64)}, OUTPUTS
    )
    predictor = load(golden.version_dir, golden.graph_dir, precision="fp32", threads=1)
    assert isinstance(predictor, AsrPredictor)
    assert manifest.decoder
    return Imported(
        manifest=manifest,
        frames=[Frames(outputs, row) for row in range(len(arrays["feats"]))],
        rescorer=Rescorer(manifest.decoder, PaddleEngine(golden.graph_dir, DECODER, record.graphs[DECODER])),
        predictor=predictor,
        answers=golden.answers,
    )


def test_greedy_of_each_utterance_equals_wenet(imported):
    found = [list(greedy(*frames.best(5)).tokens) for frames in imported.frames]
    assert found == imported.answers["greedy"]


def test_prefix_beam_of_each_utterance_equals_wenet(imported):
    for frames, expected in zip(imported.frames, imported.answers["prefix_beam5"], strict=True):
        found = prefix_beam(*frames.best(5), 5)
        assert [list(path.tokens) for path in found] == [answer["tokens"] for answer in expected]
        assert [path.score for path in found] == pytest.approx([answer["score"] for answer in expected], abs=1e-3)


def test_rescorer_of_each_utterance_equals_wenet(imported):
    answers = imported.answers
    options = AsrOptions(beam_size=5, ctc_weight=answers["ctc_weight"], reverse_weight=answers["reverse_weight"])
    for frames, expected in zip(imported.frames, answers["rescoring"], strict=True):
        best = imported.rescorer(frames.encoded, prefix_beam(*frames.best(5), 5), options)[0]
        assert list(best.path.tokens) == expected["tokens"]
        assert best.path.score == pytest.approx(expected["score"], abs=1e-3)


def test_encoded_frames_of_any_length_are_as_many_as_the_manifest_says(imported):
    encoder = imported.manifest.encoder
    lengths = range(encoder.min_frames - 1, encoder.min_frames + 2 * encoder.stride_frames + 1)
    found = imported.predictor.log_probs_of([np.zeros((n, encoder.n_mels), np.float32) for n in lengths])
    expected = [0, *((n - encoder.min_frames) // encoder.stride_frames + 1 for n in lengths[1:])]
    assert [len(log_probs) for log_probs in found] == expected


def test_predict_rescored_clip_in_a_batch_gives_the_same_as_alone(imported):
    clips = [np.random.default_rng(n).normal(0, 0.1, n).astype(np.float32) for n in (32000, 16000, 24000)]
    options = AsrOptions(beam_size=5, n_best=3)
    together = imported.predictor.predict(clips, [options] * 3).outcomes
    for clip, outcome in zip(clips, together, strict=True):
        (alone,) = imported.predictor.predict([clip], [options]).outcomes
        assert [one.text for one in outcome.hypotheses] == [one.text for one in alone.hypotheses]
        scores = [one.score for one in outcome.hypotheses]
        assert scores == pytest.approx([one.score for one in alone.hypotheses], abs=1e-2)
        assert scores == sorted(scores, reverse=True)
