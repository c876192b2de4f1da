"""The recogniser from PCM to words, on the golden model."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from msgspec import structs

from model_store.artifacts.graphs import DECODER, ENCODER, read_record
from model_store.artifacts.manifest import UNITS_FILE
from model_store.artifacts.store import read_manifest
from model_store.engines.cpu import is_bf16_processor
from model_store.engines.paddle import PaddleEngine
from model_store.errors import ArtifactCorrupt, PredictFailed
from model_store.predictors.asr import AsrPredictor
from model_store.predictors.features import Fbank
from model_store.predictors.hypotheses import AsrOptions, LidOptions, Recognition
from model_store.predictors.load import load
from model_store.predictors.search import prefix_beam
from model_store.predictors.tokens import TokenTable


class Watched:
    """An engine, and what was asked of it."""

    def __init__(self, engine: PaddleEngine) -> None:
        self.engine = engine
        self.wanted: list[list[str]] = []

    def run(self, inputs: Mapping[str, np.ndarray], wanted: Sequence[str]) -> dict[str, np.ndarray]:
        self.wanted.append(sorted(wanted))
        return self.engine.run(inputs, wanted)


@pytest.fixture(scope="module")
def predictor(golden) -> AsrPredictor:
    loaded = load(golden.version_dir, golden.graph_dir, precision="fp32", threads=1)
    assert isinstance(loaded, AsrPredictor)
    return loaded


@pytest.fixture(scope="module")
def engines(golden) -> dict[str, PaddleEngine]:
    graphs = read_record(golden.graph_dir).graphs
    return {name: PaddleEngine(golden.graph_dir, name, outputs) for name, outputs in graphs.items()}


@pytest.fixture
def watched(golden, engines) -> tuple[AsrPredictor, Watched, Watched]:
    """A recogniser, its encoder and its decoder."""
    encoder, decoder = Watched(engines[ENCODER]), Watched(engines[DECODER])
    table = TokenTable.parse((golden.version_dir / UNITS_FILE).read_text("utf-8"))
    return AsrPredictor(read_manifest(golden.version_dir), encoder, decoder, table), encoder, decoder


def _noise(n_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, n_samples).astype(np.float32)


def _recognise(predictor: AsrPredictor, clips: list[np.ndarray], **options: float) -> list[Recognition]:
    return predictor.predict(clips, [AsrOptions(**options)] * len(clips)).outcomes


def test_log_probs_of_golden_features_equal_wenet(predictor, golden):
    for found, expected in zip(predictor.log_probs_of(golden.features), golden.log_probs, strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_predict_clip_in_a_batch_gives_the_same_as_alone(predictor):
    clips = [_noise(n, seed=n) for n in (48000, 16000, 3000, 33333)]
    for clip, together in zip(clips, _recognise(predictor, clips, n_best=3), strict=True):
        alone = _recognise(predictor, [clip], n_best=3)[0]
        assert [h.text for h in together.hypotheses] == [h.text for h in alone.hypotheses]
        for a, b in zip(together.hypotheses, alone.hypotheses, strict=True):
            assert a.score == pytest.approx(b.score, abs=1e-2)
            assert a.words == b.words or [w.start_s for w in a.words] == [w.start_s for w in b.words]
    for together, clip in zip(predictor.log_probs(clips), clips, strict=True):
        np.testing.assert_allclose(together, predictor.log_probs([clip])[0], atol=1e-4)


@pytest.mark.parametrize("n_samples", [0, 1, 399, 400, 1359])
def test_predict_clip_too_short_for_a_frame_gives_an_empty_text(predictor, n_samples):
    outcomes = _recognise(predictor, [_noise(n_samples), _noise(16000)])
    assert [h.text for h in outcomes[0].hypotheses] == [""]
    assert outcomes[1].hypotheses[0].text


def test_predict_shortest_clip_that_gives_a_frame_is_searched(predictor):
    assert predictor.log_probs([_noise(1360)])[0].shape == (1, 60)
    assert len(_recognise(predictor, [_noise(1360)])) == 1


def test_predict_n_best_is_ordered_and_as_long_as_asked(predictor):
    hypotheses = _recognise(predictor, [_noise(32000)], beam_size=8, n_best=4)[0].hypotheses
    assert len(hypotheses) == 4
    assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
    assert len(_recognise(predictor, [_noise(32000)], beam_size=1, n_best=4)[0].hypotheses) == 1


def test_predict_words_lie_in_order_inside_the_clip_and_make_the_text(predictor):
    hypothesis = _recognise(predictor, [_noise(32000)])[0].hypotheses[0]
    edges = [edge for word in hypothesis.words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    assert 0.0 <= edges[0] < edges[-1] <= 2.0
    assert "".join(word.text for word in hypothesis.words) == hypothesis.text
    assert all(0.0 < word.confidence <= 1.0 for word in hypothesis.words)
    assert 0.0 < hypothesis.confidence <= 1.0


@pytest.mark.parametrize("is_rescored", [False, True])
def test_predict_names_texts_scores_and_times_however_the_text_was_found(predictor, is_rescored):
    (outcome,) = _recognise(predictor, [_noise(32000)], n_best=10, rescoring=is_rescored)
    assert len(outcome.hypotheses) == 10
    assert len({hypothesis.text for hypothesis in outcome.hypotheses}) == 10
    for hypothesis in outcome.hypotheses:
        assert "".join(word.text for word in hypothesis.words) == hypothesis.text
        assert all(0.0 <= word.start_s < word.end_s <= 2.0 for word in hypothesis.words)
        assert all(0.0 < word.confidence <= 1.0 for word in hypothesis.words)
        assert 0.0 < hypothesis.confidence <= 1.0


def test_predict_rescored_readings_are_those_of_the_search_in_another_order(predictor):
    (found,) = _recognise(predictor, [_noise(32000)], n_best=10, rescoring=False)
    (judged,) = _recognise(predictor, [_noise(32000)], n_best=10)
    times = {reading.text: [word.start_s for word in reading.words] for reading in found.hypotheses}
    assert {reading.text: [word.start_s for word in reading.words] for reading in judged.hypotheses} == times
    assert [reading.text for reading in judged.hypotheses] != [reading.text for reading in found.hypotheses]


def test_predict_rescoring_by_ctc_alone_keeps_the_order_of_the_search(predictor):
    (found,) = _recognise(predictor, [_noise(32000)], n_best=10, rescoring=False)
    (judged,) = _recognise(predictor, [_noise(32000)], n_best=10, ctc_weight=1e6)
    assert [reading.text for reading in judged.hypotheses] == [reading.text for reading in found.hypotheses]


def test_predict_copies_out_only_what_the_options_need(watched):
    predictor, encoder, decoder = watched
    searched = ["blank_log_probs", "encoded_frames", "top_ids", "top_log_probs"]
    for options in ({"beam_size": 1}, {"rescoring": False}, {}, {"beam_size": 17, "rescoring": False}):
        _recognise(predictor, [_noise(16000)], **options)
    assert encoder.wanted == [searched, searched, sorted([*searched, "encoded"]), sorted([*searched, "log_probs"])]
    assert decoder.wanted == [["reverse_token_log_probs", "token_log_probs"]]


def test_predict_beam_wider_than_the_graph_offers_searches_all_units(predictor):
    (log_probs,) = predictor.log_probs([_noise(32000)])
    ids = np.argsort(-log_probs, axis=1, kind="stable").astype(np.int32)
    expected = prefix_beam(np.take_along_axis(log_probs, ids, 1), ids, 40)
    (found,) = _recognise(predictor, [_noise(32000)], beam_size=40, n_best=40, rescoring=False)
    assert [one.score for one in found.hypotheses] == pytest.approx([path.score for path in expected], abs=1e-3)


def test_predict_for_a_model_of_8_khz_hears_the_clip_at_8_khz(golden, engines):
    manifest = structs.replace(read_manifest(golden.version_dir), sample_rate_hz=8000)
    predictor = AsrPredictor(manifest, engines[ENCODER], None, TokenTable(tuple(map(str, range(manifest.units)))))
    times = np.arange(32000) / 16000
    clip = (0.2 * np.sin(2 * np.pi * (300 + 200 * times) * times) + 0.01 * np.sin(7000 * times)).astype(np.float32)
    (expected,) = predictor.log_probs_of([Fbank(8000)(clip[::2])])
    (found,) = predictor.log_probs([clip])
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 0.05
    (outcome,) = _recognise(predictor, [clip])
    assert outcome.hypotheses[0].words[-1].end_s > 1.5


def test_predict_names_the_seconds_of_each_stage(predictor):
    stages_s = predictor.predict([_noise(16000)], [AsrOptions()]).stages_s
    assert set(stages_s) == {"features", "encoder", "search", "rescoring"}
    assert all(seconds > 0 for seconds in stages_s.values())
    assert predictor.predict([], []).outcomes == []


def test_predict_without_a_number_in_the_audio_raises_predict_failed(predictor):
    with pytest.raises(PredictFailed, match="finite"):
        _recognise(predictor, [np.full(16000, np.nan, np.float32)])


def test_predict_with_options_of_another_kind_raises_predict_failed(predictor):
    with pytest.raises(PredictFailed):
        predictor.predict([_noise(16000)], [LidOptions()])


def test_warm_up_changes_no_answer_between_its_steps_or_after_them(predictor):
    before = _recognise(predictor, [_noise(16000)])
    for _ in predictor.warm_up():
        assert _recognise(predictor, [_noise(16000)]) == before
    assert _recognise(predictor, [_noise(16000)]) == before


@pytest.mark.skipif(not is_bf16_processor(), reason="this processor has no bfloat16")
def test_load_in_bf16_recognises_too(golden):
    loaded = load(golden.version_dir, golden.graph_dir, precision="bf16", threads=1)
    assert _recognise(loaded, [_noise(16000)])[0].hypotheses[0].text


def test_load_of_a_graph_of_another_version_raises_artifact_corrupt(golden, tmp_path):
    import shutil

    other = shutil.copytree(golden.graph_dir, tmp_path / "graph")
    record = (other / "record.json").read_text().replace(golden.version_dir.name, "0" * 64)
    (other / "record.json").chmod(0o644)
    (other / "record.json").write_text(record)
    with pytest.raises(ArtifactCorrupt, match="something else"):
        load(golden.version_dir, other, precision="fp32", threads=1)


def test_load_without_a_graph_says_how_to_get_one(golden, tmp_path):
    with pytest.raises(ArtifactCorrupt, match=r"model_store\.importers graph"):
        load(golden.version_dir, tmp_path, precision="fp32", threads=1)
