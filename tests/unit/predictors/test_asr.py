"""The recogniser from PCM to words, on the golden model."""

import numpy as np
import pytest

from model_store.engines.cpu import is_bf16_processor
from model_store.errors import ArtifactCorrupt, PredictFailed
from model_store.predictors.asr import AsrPredictor
from model_store.predictors.hypotheses import AsrOptions, LidOptions, Recognition
from model_store.predictors.load import load
from model_store.predictors.search import greedy, prefix_beam


@pytest.fixture(scope="module")
def predictor(golden) -> AsrPredictor:
    loaded = load(golden.version_dir, golden.graph_dir, precision="fp32", threads=1)
    assert isinstance(loaded, AsrPredictor)
    return loaded


def _noise(n_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, n_samples).astype(np.float32)


def _recognise(predictor: AsrPredictor, clips: list[np.ndarray], **options: int) -> list[Recognition]:
    return predictor.predict(clips, [AsrOptions(**options)] * len(clips)).outcomes


def test_log_probs_of_golden_features_equal_wenet(predictor, golden):
    for found, expected in zip(predictor.log_probs_of(golden.features), golden.log_probs, strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_search_over_the_graph_equals_wenet(predictor, golden):
    answers = zip(golden.answers["greedy"], golden.answers["prefix_beam5"], strict=True)
    for log_probs, (best, n_best) in zip(predictor.log_probs_of(golden.features), answers, strict=True):
        ids = np.argsort(-log_probs, axis=1, kind="stable")[:, :5].astype(np.int32)
        top = np.take_along_axis(log_probs, ids, 1)
        assert list(greedy(top, ids).tokens) == best
        found = prefix_beam(top, ids, 5)
        assert [list(path.tokens) for path in found] == [answer["tokens"] for answer in n_best]
        assert [path.score for path in found] == pytest.approx([answer["score"] for answer in n_best], abs=1e-3)


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


def test_predict_names_the_seconds_of_each_stage(predictor):
    stages_s = predictor.predict([_noise(16000)], [AsrOptions()]).stages_s
    assert set(stages_s) == {"features", "encoder", "search"}
    assert all(seconds > 0 for seconds in stages_s.values())
    assert predictor.predict([], []).outcomes == []


def test_predict_without_a_number_in_the_audio_raises_predict_failed(predictor):
    with pytest.raises(PredictFailed, match="finite"):
        _recognise(predictor, [np.full(16000, np.nan, np.float32)])


def test_predict_with_options_of_another_kind_raises_predict_failed(predictor):
    with pytest.raises(PredictFailed):
        predictor.predict([_noise(16000)], [LidOptions()])


def test_warm_up_changes_no_answer(predictor):
    before = _recognise(predictor, [_noise(16000)])
    predictor.warm_up()
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
    with pytest.raises(ArtifactCorrupt, match="another version"):
        load(golden.version_dir, other, precision="fp32", threads=1)


def test_load_without_a_graph_says_how_to_get_one(golden, tmp_path):
    with pytest.raises(ArtifactCorrupt, match=r"model_store\.importers graph"):
        load(golden.version_dir, tmp_path, precision="fp32", threads=1)
