"""WeNet checkpoints come in whole, or are refused by the name of what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model_store.artifacts.manifest import Encoder
from model_store.artifacts.store import ArtifactStore
from model_store.artifacts.unpickling import read_torch_checkpoint
from model_store.errors import ImportFailed
from model_store.importers.config import read_yaml
from model_store.importers.wenet import ImportRequest, import_wenet
from model_store.importers.wenet_config import read_config
from model_store.predictors.hypotheses import LidOptions
from model_store.predictors.load import load

DATA = Path(__file__).parents[2] / "data" / "wenet"
LID_UNITS = "zh 0\nyue 1\nen 2\n"


def _refused(source: Path, tmp_path: Path, language: str | None = "zh") -> str:
    """The message of a failed import, after which the store is as empty as before."""
    root = tmp_path / "store"
    with pytest.raises(ImportFailed) as refusal:
        import_wenet(ImportRequest(source=str(source), name="m", language=language), ArtifactStore(root))
    assert not [path for path in root.rglob("*") if path.is_file()]
    assert not list((root / "versions").iterdir())
    return refusal.value.message


def _encoder_and_head() -> dict[str, np.ndarray]:
    whole = read_torch_checkpoint(DATA / "u2pp_conformer" / "final.pt")
    return {name: tensor for name, tensor in whole.items() if not name.startswith("decoder.") and ".pe" not in name}


def _lid_source(golden_copy, write_torch, **more: np.ndarray) -> Path:
    source = golden_copy({"train.yaml": ("model: asr_model", "model: language_classifier")})
    text = (source / "train.yaml").read_text().replace("output_dim: 60", "output_dim: 3")
    (source / "train.yaml").write_text(text)
    (source / "units.txt").write_text(LID_UNITS)
    tensors = {name: tensor for name, tensor in _encoder_and_head().items() if not name.startswith("ctc.")}
    head = {"classifier.weight": np.eye(3, 64, dtype=np.float32), "classifier.bias": np.zeros(3, np.float32)}
    write_torch(source / "final.pt", tensors | head | more)
    return source


def test_import_wenet_golden_writes_every_choice_into_the_manifest(golden):
    manifest = ArtifactStore(golden.version_dir.parents[1]).manifest(golden.version_dir.name)
    assert manifest.encoder == Encoder(
        kind="conformer", n_mels=80, size=64, heads=4, linear_units=128, blocks=3, subsampling="conv2d",
        positions="relative", activation="swish", conv_kernel=15, conv_norm="layer_norm", is_causal=True,
        norm_epsilon=1e-5, conv_norm_epsilon=1e-5,
    )  # fmt: skip
    assert (manifest.kind, manifest.language, manifest.units, manifest.sample_rate_hz) == ("asr", "zh", 60, 16000)
    assert set(manifest.source.files) == {"train.yaml", "units.txt", "global_cmvn", "final.pt"}


def test_import_wenet_again_gives_the_same_version_and_lists_the_decoder(golden):
    store = ArtifactStore(golden.version_dir.parents[1])
    imported = import_wenet(ImportRequest(source=str(golden.source), name="golden", language="zh"), store)
    assert imported.version == golden.version_dir.name
    assert len(imported.unserved) > 100
    assert all(name.startswith("decoder.") for name in imported.unserved)


@pytest.mark.parametrize(
    ("config", "told"),
    [("u2pp_conv2d6", "input_layer is 'conv2d6'"), ("u2_transformer", "encoder is 'transformer'")],
)
def test_read_config_of_a_network_not_served_names_key_and_value(config, told):
    with pytest.raises(ImportFailed, match=told):
        read_config(read_yaml(DATA / config / "train.yaml"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("cnn_module_norm: layer_norm", "cnn_module_norm: batch_norm", "encoder_conf.cnn_module_norm is 'batch_norm'"),
        ("  cnn_module_norm: layer_norm\n", "", "cnn_module_norm is 'batch_norm' (not written"),
        ("pos_enc_layer_type: rel_pos", "pos_enc_layer_type: abs_pos", "pos_enc_layer_type is 'abs_pos'"),
        ("activation_type: swish", "activation_type: relu", "activation_type is 'relu'"),
        ("normalize_before: true", "normalize_before: false", "normalize_before is False"),
        ("attention_heads: 4", "attention_heads: 5", "5 attention_heads"),
        ("attention_heads: 4", "attention_heads: four", "attention_heads is 'four'"),
        ("num_blocks: 3", "num_blocks: 0", "num_blocks is 0"),
        ("causal: true", "causal: true\n  rotary: true", "encoder_conf.rotary is True"),
        ("causal: true", "causal: true\n  static_chunk_size: 16", "static_chunk_size is 16"),
        ("ctc_blank_id: 0", "ctc_blank_id: 59", "ctc_conf.ctc_blank_id is 59"),
        ("frame_shift: 10", "frame_shift: 20", "fbank_conf.frame_shift is 20"),
        ("input_dim: 80", "input_dim: 83", "input_dim is 83"),
        ("output_dim: 60", "output_dim: 61", "units.txt has 60 units, output_dim is 61"),
        ("model: asr_model", "model: transducer", "model is 'transducer'"),
        ("encoder_conf:", "encoder_conf: [", "train.yaml cannot be read"),
        ("encoder: conformer", "encoder: !!python/object/apply:os.system [id]", "train.yaml cannot be read"),
        ("output_size: 64", "output_size: 128", "shape"),
        ("cnn_module_kernel: 15", "cnn_module_kernel: 31", "depthwise_conv.weight has shape (64, 1, 15)"),
        ("num_blocks: 3", "num_blocks: 2", "Unexpected tensor encoder.encoders.2."),
        ("num_blocks: 3", "num_blocks: 4", "Tensor encoder.encoders.3."),
    ],
)
def test_import_wenet_changed_configuration_is_refused_by_name(golden_copy, tmp_path, old, new, told):
    assert told in _refused(golden_copy({"train.yaml": (old, new)}), tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("七 3", "七 4", "line 4"),
        ("主 59\n", "", "units.txt has 59 units"),
        ("<blank> 0", "空 0", "unit 0 is '空'"),
        ("丄 4", "七 4", "line 5"),
    ],
)
def test_import_wenet_changed_units_are_refused_by_name(golden_copy, tmp_path, old, new, told):
    assert told in _refused(golden_copy({"units.txt": (old, new)}), tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop("encoder.after_norm.bias"), "Tensor encoder.after_norm.bias is missing"),
        (
            lambda t: t.update({"encoder.after_norm.gamma": t["ctc.ctc_lo.bias"]}),
            "Unexpected tensor encoder.after_norm.g",
        ),
        (
            lambda t: t.update({"ctc.ctc_lo.weight": t["ctc.ctc_lo.weight"][:-1]}),
            "ctc.ctc_lo.weight has shape (59, 64)",
        ),
        (lambda t: t.update({"ctc.ctc_lo.weight": t["ctc.ctc_lo.weight"].T}), "ctc.ctc_lo.weight has shape (64, 60)"),
        (
            lambda t: t.update({"ctc.ctc_lo.bias": np.full(60, np.nan, np.float32)}),
            "ctc.ctc_lo.bias holds numbers that",
        ),
        (lambda t: t.update({"ctc.ctc_lo.bias": np.arange(60)}), "ctc.ctc_lo.bias holds int64"),
        (lambda t: t.update({"encoder.global_cmvn.mean": np.ones(80, np.float32)}), "encoder.global_cmvn.mean is not"),
    ],
)
def test_import_wenet_changed_tensor_is_refused_by_name(golden_copy, write_torch, tmp_path, change, told):
    source, tensors = golden_copy(), _encoder_and_head()
    change(tensors)
    write_torch(source / "final.pt", tensors)
    assert told in _refused(source, tmp_path)


@pytest.mark.parametrize("name", ["train.yaml", "units.txt", "final.pt"])
def test_import_wenet_without_a_file_names_it(golden_copy, tmp_path, name):
    source = golden_copy()
    (source / name).unlink()
    assert f"{name} is missing" in _refused(source, tmp_path)


def test_import_wenet_recogniser_without_language_is_refused(golden_copy, tmp_path):
    assert "language" in _refused(golden_copy(), tmp_path, language=None)


def test_import_wenet_half_precision_without_statistics_takes_them_from_their_file(
    golden, golden_copy, write_torch, tmp_path
):
    source, tensors = golden_copy(), _encoder_and_head()
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


def test_import_wenet_language_classifier_with_a_ctc_head_is_refused(golden_copy, write_torch, tmp_path):
    head = {"ctc.ctc_lo.bias": np.zeros(60, np.float32)}
    assert "Unexpected tensor ctc.ctc_lo.bias" in _refused(_lid_source(golden_copy, write_torch, **head), tmp_path)


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
