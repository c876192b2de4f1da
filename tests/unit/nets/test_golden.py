"""The networks against what WeNet's own code answered: eager, chunked, exported, and in bfloat16."""

from functools import cache
from pathlib import Path

import numpy as np
import paddle
import pytest
from msgspec import structs

from model_store.artifacts.graphs import read_record
from model_store.artifacts.manifest import Manifest
from model_store.artifacts.store import read_manifest
from model_store.engines.cpu import is_bf16_processor
from model_store.engines.paddle import PaddleEngine
from model_store.importers.request import ImportRequest
from model_store.importers.wenet import read_wenet
from model_store.nets.models import build, set_weights
from tests.trees import tree_of

DATA = Path(__file__).parents[2] / "data" / "wenet"
CONFIGS = sorted(path.name for path in DATA.iterdir() if path.is_dir())
CHUNKED = [
    (config, name, how)
    for config in CONFIGS
    for name, how in {
        "encoder_out_chunk8": {"chunk_frames": 8},
        "encoder_out_chunk4_left2": {"chunk_frames": 4, "left_chunks": 2},
    }.items()
    if name in np.load(DATA / config / "golden.npz")
]
TOLERANCE = 1e-4
# Of natural logarithms in bfloat16, whose numbers have 8 bits: the largest seen over all these models is 0.15.
BF16_TOLERANCE = 0.3


@cache
def _draft(config: str):
    return read_wenet(DATA / config, ImportRequest(source=config, name="golden", language="zh"))


def _network(config: str, manifest: Manifest | None = None):
    draft = _draft(config)
    net = build(manifest or draft.manifest)
    set_weights(net, dict(draft.tensors))
    return net


def _arrays(config: str) -> dict[str, np.ndarray]:
    return dict(np.load(DATA / config / "golden.npz"))


def _difference(found: np.ndarray, expected: np.ndarray, arrays: dict[str, np.ndarray]) -> float:
    """The largest over the frames of the utterances."""
    return max(float(np.abs(found[row, :n] - expected[row, :n]).max()) for row, n in enumerate(arrays["encoder_lens"]))


def _inputs(arrays: dict[str, np.ndarray]) -> tuple[paddle.Tensor, paddle.Tensor]:
    return paddle.to_tensor(arrays["feats"]), paddle.to_tensor(arrays["feat_lens"])


@pytest.mark.parametrize("config", CONFIGS)
def test_network_encodes_as_wenet_does(config):
    arrays = _arrays(config)
    part = _network(config).parts()["encoder"]
    with paddle.no_grad():
        answers = dict(zip(part.outputs, part(*_inputs(arrays)), strict=True))
    assert answers["encoded_frames"].numpy().tolist() == arrays["encoder_lens"].tolist()
    assert _difference(answers["encoded"].numpy(), arrays["encoder_out"], arrays) < TOLERANCE
    assert _difference(answers["log_probs"].numpy(), arrays["ctc_logprobs"], arrays) < TOLERANCE


@pytest.mark.parametrize(("config", "name", "how"), CHUNKED)
def test_network_in_chunks_encodes_as_wenet_does(config, name, how):
    arrays = _arrays(config)
    with paddle.no_grad():
        encoded = _network(config).encoder(*_inputs(arrays), **how)[0].numpy()
    assert _difference(encoded, arrays[name], arrays) < TOLERANCE
    assert _difference(encoded, arrays["encoder_out"], arrays) > 100 * TOLERANCE


@pytest.mark.parametrize(
    ("config", "changed"),
    [
        ("conformer_eps", {"norm_epsilon": 1e-5}),
        ("conformer_batch_norm", {"conv_norm_epsilon": 1e-2}),
        ("conformer_abs_pos", {"activation": "swish"}),
        ("transformer_conv2d6", {"activation": "gelu"}),
        ("transformer_conv2d6", {"heads": 2}),
    ],
)
def test_network_of_another_shape_encodes_otherwise(config, changed):
    """The goldens tell these choices apart; their tensors would not."""
    arrays, manifest = _arrays(config), _draft(config).manifest
    other = structs.replace(manifest, encoder=structs.replace(manifest.encoder, **changed))
    with paddle.no_grad():
        encoded = _network(config, other).encoder(*_inputs(arrays))[0].numpy()
    assert _difference(encoded, arrays["encoder_out"], arrays) > 10 * TOLERANCE


def _rescored(golden, manifest: Manifest, precision: str) -> list[tuple[list[int], float]]:
    """The best text of each utterance and its score, from the exported graphs (wenet's attention_rescoring)."""
    graphs = read_record(golden.graph_dir).graphs
    engines = {name: PaddleEngine(golden.graph_dir, name, graphs[name], precision=precision) for name in graphs}
    shape, share = manifest.decoder, golden.answers["reverse_weight"]
    best = []
    for clip, heard in zip(golden.features, golden.answers["prefix_beam5"], strict=True):
        inputs = {"feats": clip[None], "lengths": np.array([len(clip)], np.int64)}
        texts = [one["tokens"] for one in heard]
        inputs = {"encoded": engines["encoder"].run(inputs, ["encoded"])["encoded"]}
        tree, steps = tree_of(texts, shape.sos, shape.eos)
        reverse, reverse_steps = tree_of([text[::-1] for text in texts], shape.sos, shape.eos)
        inputs |= tree
        if shape.reverse_blocks:
            inputs |= {f"reverse_{name}": array for name, array in reverse.items()}
        found = engines["decoder"].run(inputs, graphs["decoder"])
        scores = []
        for row, one in enumerate(heard):
            score = (1 - share) * found["token_log_probs"][steps[row]].sum()
            if share:
                score += share * found["reverse_token_log_probs"][reverse_steps[row]].sum()
            scores.append(float(score + golden.answers["ctc_weight"] * one["score"]))
        best.append(max(zip(texts, scores, strict=True), key=lambda pair: pair[1]))
    return best


@pytest.mark.parametrize("config", CONFIGS)
def test_graphs_rescore_as_wenet_does(config, goldens):
    golden = goldens(config)
    found = _rescored(golden, read_manifest(golden.version_dir), "fp32")
    for (text, score), expected in zip(found, golden.answers["rescoring"], strict=True):
        assert text == expected["tokens"]
        assert score == pytest.approx(expected["score"], abs=1e-3)


@pytest.mark.parametrize("config", CONFIGS)
def test_graphs_hear_a_clip_in_a_padded_batch_as_wenet_does(config, goldens):
    golden, outputs = goldens(config), read_record(goldens(config).graph_dir).graphs["encoder"]
    feats = np.full((len(golden.features), 200, 80), 7.0, np.float32)
    for row, clip in zip(feats, golden.features, strict=True):
        row[: len(clip)] = clip
    lengths = np.array([len(clip) for clip in golden.features], np.int64)
    found = PaddleEngine(golden.graph_dir, "encoder", outputs).run({"feats": feats, "lengths": lengths}, outputs)
    for row, (encoded, log_probs) in enumerate(zip(golden.encoded, golden.log_probs, strict=True)):
        n = found["encoded_frames"][row]
        np.testing.assert_allclose(found["encoded"][row, :n], encoded, atol=TOLERANCE)
        np.testing.assert_allclose(found["log_probs"][row, :n], log_probs, atol=TOLERANCE)


@pytest.mark.skipif(not is_bf16_processor(), reason="this processor has no bfloat16")
@pytest.mark.parametrize("config", CONFIGS)
def test_graphs_in_bf16_stay_near_wenet(config, goldens):
    golden, outputs = goldens(config), read_record(goldens(config).graph_dir).graphs["encoder"]
    engine = PaddleEngine(golden.graph_dir, "encoder", outputs, precision="bf16")
    for clip, log_probs in zip(golden.features, golden.log_probs, strict=True):
        found = engine.run({"feats": clip[None], "lengths": np.array([len(clip)], np.int64)}, ["log_probs"])
        assert 1e-4 < np.abs(found["log_probs"][0] - log_probs).max() < BF16_TOLERANCE
    for (text, score), expected in zip(
        _rescored(golden, read_manifest(golden.version_dir), "bf16"), golden.answers["rescoring"], strict=True
    ):
        assert score == pytest.approx(expected["score"], abs=BF16_TOLERANCE * (len(text) + 1) / 2)
