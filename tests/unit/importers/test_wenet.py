"""WeNet checkpoints come in whole, or are refused by the name of what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from model_store.artifacts.manifest import ConformerShape, Decoder
from model_store.artifacts.store import ArtifactStore
from model_store.artifacts.torch_checkpoint import read_torch_checkpoint
from model_store.importers.request import ImportRequest
from model_store.importers.wenet import import_wenet, read_wenet
from model_store.predictors.hypotheses import LidOptions
from model_store.predictors.load import load

DATA = Path(__file__).parents[2] / "data" / "wenet"
LID_UNITS = "zh 0\nyue 1\nen 2\n"


def _tensors() -> dict[str, np.ndarray]:
    """The golden checkpoint."""
    return dict(read_torch_checkpoint(DATA / "u2pp_conformer" / "final.pt"))


def _lid_source(golden_copy, write_torch, **more: np.ndarray) -> Path:
    source = golden_copy({"train.yaml": ("model: asr_model", "model: language_classifier")})
    text = (source / "train.yaml").read_text().replace("output_dim: 60", "output_dim: 3")
    (source / "train.yaml").write_text(text)
    (source / "units.txt").write_text(LID_UNITS)
    tensors = {name: tensor for name, tensor in _tensors().items() if name.startswith("encoder.")}
    head = {"classifier.weight": np.eye(3, 64, dtype=np.float32), "classifier.bias": np.zeros(3, np.float32)}
    write_torch(source / "final.pt", tensors | head | more)
    return source


def test_import_wenet_golden_writes_every_choice_into_the_manifest(golden):
    manifest = ArtifactStore(golden.version_dir.parents[1]).manifest(golden.version_dir.name)
    assert manifest.encoder == ConformerShape(
        n_mels=80, size=64, heads=4, linear_units=128, blocks=3, subsampling="conv2d", positions="relative",
        activation="swish", conv_kernel=15, conv_norm="layer_norm", is_causal=True, norm_epsilon=1e-5,
        conv_norm_epsilon=1e-5,
    )  # fmt: skip
    assert manifest.decoder == Decoder(
        heads=4, linear_units=128, blocks=2, reverse_blocks=2, activation="relu", norm_epsilon=1e-5, sos=2, eos=2,
        ctc_weight=0.5, reverse_weight=0.3,
    )  # fmt: skip
    assert (manifest.kind, manifest.language, manifest.units, manifest.sample_rate_hz) == ("asr", "zh", 60, 16000)
    assert manifest.tokenizer == "char"
    assert set(manifest.source.files) == {"train.yaml", "units.txt", "global_cmvn", "final.pt"}


def test_import_wenet_again_gives_the_same_version(golden):
    store = ArtifactStore(golden.version_dir.parents[1])
    imported = import_wenet(ImportRequest(source=str(golden.source), name="golden", language="zh"), store)
    assert imported.version == golden.version_dir.name
    assert imported.layout == "wenet"


def test_import_wenet_tensors_that_are_known_and_unused_are_left_out(golden, golden_copy, write_torch):
    source, tensors = golden_copy(), _tensors()
    tensors["encoder.embed.pos_enc.pe"] = np.zeros((1, 5000, 64), np.float32)
    tensors["decoder.left_decoder.embed.1.pe"] = np.zeros((1, 5000, 64), np.float32)
    tensors["encoder.encoders.0.conv_module.norm.num_batches_tracked"] = np.array([3])
    tensors["encoder.encoders.0.concat_linear.weight"] = np.zeros((64, 128), np.float32)
    tensors["decoder.left_decoder.decoders.1.concat_linear2.bias"] = np.zeros(64, np.float32)
    write_torch(source / "final.pt", tensors)
    draft = read_wenet(source, ImportRequest(source=str(source), name="m", language="zh"))
    weights = load_file(golden.version_dir / "weights.safetensors")
    assert draft.tensors.keys() == weights.keys()
    for name, tensor in draft.tensors.items():
        np.testing.assert_array_equal(tensor, weights[name])


def test_read_wenet_table_with_pieces_and_no_tokenizer_written_is_bpe(golden_copy):
    source = golden_copy({"train.yaml": ("tokenizer: char\n", ""), "units.txt": ("七 3", "▁seven 3")})
    draft = read_wenet(source, ImportRequest(source=str(source), name="m", language="en"))
    assert draft.manifest.tokenizer == "bpe"


def test_read_wenet_without_cmvn_leaves_features_as_they_are(golden_copy, write_torch):
    source = golden_copy({"train.yaml": ("cmvn: global_cmvn\n", "cmvn: null\n")})
    tensors = {name: tensor for name, tensor in _tensors().items() if "global_cmvn" not in name}
    write_torch(source / "final.pt", tensors)
    draft = read_wenet(source, ImportRequest(source=str(source), name="m", language="zh"))
    assert not draft.tensors["encoder.global_cmvn.mean"].any()
    assert (draft.tensors["encoder.global_cmvn.istd"] == 1.0).all()
    assert "global_cmvn" not in draft.manifest.source.files


@pytest.mark.parametrize("name", ["train.yaml", "units.txt", "final.pt"])
def test_import_wenet_without_a_file_names_it(golden_copy, refused, name):
    source = golden_copy()
    (source / name).unlink()
    assert f"{name} is missing" in refused(import_wenet, source)


def test_import_wenet_recogniser_without_language_is_refused(golden_copy, refused):
    assert "language" in refused(import_wenet, golden_copy(), language=None)


def test_import_wenet_half_precision_without_statistics_takes_them_from_their_file(
    golden, golden_copy, write_torch, tmp_path
):
    source, tensors = golden_copy(), _tensors()
    for name in ("mean", "istd"):
        del tensors[f"encoder.global_cmvn.{name}"]
    write_torch(source / "final.pt", {name: tensor.astype(np.float16) for name, tensor in tensors.items()})
    store = ArtifactStore(tmp_path / "store")
    imported = import_wenet(ImportRequest(source=str(source), name="half", language="zh"), store)
    predictor = load(
        store.version_dir(imported.version), store.graph_dir(imported.version), precision="fp32", threads=1
    )
    for found, expected in zip(predictor.log_probs_of(golden.features), golden.log_probs, strict=True):
        np.testing.assert_allclose(found, expected, atol=0.05)


def test_import_wenet_language_classifier_becomes_a_lid_with_its_labels(golden_copy, write_torch, tmp_path):
    source, store = _lid_source(golden_copy, write_torch), ArtifactStore(tmp_path / "store")
    imported = import_wenet(ImportRequest(source=str(source), name="lid"), store)
    assert (imported.kind, imported.language, imported.labels) == ("lid", None, ("zh", "yue", "en"))
    predictor = load(
        store.version_dir(imported.version), store.graph_dir(imported.version), precision="fp32", threads=1
    )
    rng = np.random.default_rng(0)
    clips = [rng.normal(0, 0.1, n).astype(np.float32) for n in (32000, 16000, 100)]
    found = [outcome.posteriors for outcome in predictor.predict(clips, [LidOptions()] * 3).outcomes]
    assert all(sum(posteriors.values()) == pytest.approx(1.0) for posteriors in found)
    assert found[2] == pytest.approx({"zh": 1 / 3, "yue": 1 / 3, "en": 1 / 3})
    alone = predictor.predict([clips[1]], [LidOptions()]).outcomes[0].posteriors
    assert found[1] == pytest.approx(alone, abs=1e-4)


def test_import_wenet_language_classifier_with_a_ctc_head_is_refused(golden_copy, write_torch, refused):
    head = {"ctc.ctc_lo.bias": np.zeros(60, np.float32)}
    assert "Unexpected tensor ctc.ctc_lo.bias" in refused(import_wenet, _lid_source(golden_copy, write_torch, **head))


def test_importers_command_with_a_batch_answers_one_line_each_and_fails_for_one(golden, tmp_path):
    batch = [
        {"source": str(golden.source), "name": "golden", "language": "zh"},
        {"source": str(tmp_path), "name": "nothing", "language": "zh"},
    ]
    command = [sys.executable, "-m", "model_store.importers", "wenet", "--batch", "--store", str(tmp_path / "store")]
    done = subprocess.run(command, input=json.dumps(batch), capture_output=True, text=True, check=False)
    good, bad = (json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 1
    assert good["version"] == golden.version_dir.name
    assert bad["error"] == "import_failed"
    assert "train.yaml" in bad["message"]
