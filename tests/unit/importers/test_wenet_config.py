"""What a train.yaml says, and what WeNet's own code assumes where it says nothing."""

from pathlib import Path

import pytest
import yaml

from model_store.artifacts.manifest import ConformerShape, TransformerShape
from model_store.importers.config import Section
from model_store.importers.wenet_config import WenetConfig, read_config

DATA = Path(__file__).parents[2] / "data" / "wenet"
CMVN = "cmvn: global_cmvn\ncmvn_conf:\n  cmvn_file: global_cmvn\n  is_json_cmvn: true\n"


def _config(name: str, *changes: tuple[str, str]) -> WenetConfig:
    """What is read of a golden train.yaml in which texts are replaced."""
    text = (DATA / name / "train.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return read_config(Section("", yaml.safe_load(text)))


def test_read_config_of_a_transformer_gives_its_shape():
    config = _config("u2_transformer")
    assert config.encoder == TransformerShape(
        n_mels=80, size=64, heads=4, linear_units=128, blocks=3, subsampling="conv2d", positions="absolute",
        activation="relu", norm_epsilon=1e-5,
    )  # fmt: skip
    assert config.decoder is not None
    # No special tokens are written there, so both are the last unit.
    assert (config.decoder.sos, config.decoder.eos) == (59, 59)
    assert (config.decoder.reverse_blocks, config.decoder.reverse_weight) == (0, 0.0)


@pytest.mark.parametrize(
    ("old", "new", "field", "value"),
    [
        ("  cnn_module_norm: layer_norm\n", "", "conv_norm", "batch_norm"),
        ("  causal: true\n", "", "is_causal", False),
        ("  cnn_module_kernel: 15\n", "", "conv_kernel", 15),
        ("  activation_type: swish\n", "", "activation", "swish"),
        ("  pos_enc_layer_type: rel_pos\n", "", "positions", "relative"),
        ("  input_layer: conv2d\n", "", "subsampling", "conv2d"),
        ("  num_blocks: 3\n", "", "blocks", 6),
        ("  attention_heads: 4\n", "", "heads", 4),
        ("  linear_units: 128\n", "", "linear_units", 2048),
        ("  output_size: 64\n", "", "size", 256),
        ("input_layer: conv2d", "input_layer: conv2d8", "subsampling", "conv2d8"),
        ("activation_type: swish", "activation_type: gelu", "activation", "gelu"),
        ("pos_enc_layer_type: rel_pos", "pos_enc_layer_type: abs_pos", "positions", "absolute"),
        ("causal: true", "causal: true\n  norm_eps: 1.0e-6", "norm_epsilon", 1e-6),
        ("causal: true", "causal: true\n  norm_eps: 1e-12", "norm_epsilon", 1e-12),
        ("causal: true", "causal: true\n  conv_norm_eps: 1.0e-3", "conv_norm_epsilon", 1e-3),
    ],
)
def test_read_config_of_a_conformer_takes_what_is_written_or_else_wenets_default(old, new, field, value):
    assert getattr(_config("u2pp_conformer", (old, new)).encoder, field) == value


@pytest.mark.parametrize(
    ("old", "new", "field", "value"),
    [
        ("  reverse_weight: 0.3\n", "", "reverse_weight", 0.0),
        ("    <sos>: 2\n    <eos>: 2\n", "", "sos", 59),
        ("    <eos>: 2\n", "    <eos>: 7\n", "eos", 7),
        ("  r_num_blocks: 2\n", "  r_num_blocks: 3\n", "reverse_blocks", 3),
        ("  r_num_blocks: 2\n", "  r_num_blocks: 2\n  norm_eps: 1e-7\n", "norm_epsilon", 1e-7),
        ("  r_num_blocks: 2\n", "  r_num_blocks: 2\n  activation_type: gelu\n", "activation", "gelu"),
        ("decoder: bitransformer\n", "", "reverse_blocks", 2),
        ("  num_blocks: 2\n", "", "blocks", 6),
    ],
)
def test_read_config_of_a_decoder_takes_what_is_written_or_else_wenets_default(old, new, field, value):
    assert getattr(_config("u2pp_conformer", (old, new)).decoder, field) == value


def test_read_config_from_before_october_2021_takes_the_epsilon_and_features_of_then():
    dataset = (DATA / "u2pp_conformer" / "train.yaml").read_text().partition("dataset_conf:")[2].partition("input_dim")
    features = "{feature_type: fbank, mel_bins: 80, frame_shift: 10, frame_length: 25, using_pitch: false}"
    then = f"\n  max_length: 40960\nraw_wav: true\ncollate_conf:\n  feature_extraction_conf: {features}\n"
    config = _config("u2pp_conformer", (f"dataset_conf:{dataset[0]}", f"dataset_conf:{then}"))
    assert config.decoder is not None
    assert (config.encoder.norm_epsilon, config.decoder.norm_epsilon) == (1e-12, 1e-12)
    assert isinstance(config.encoder, ConformerShape)
    assert (config.encoder.conv_norm_epsilon, config.encoder.n_mels, config.sample_rate_hz) == (1e-5, 80, 16000)


@pytest.mark.parametrize(
    ("old", "new", "has_cmvn", "is_json"),
    [
        (CMVN, "", False, True),
        ("cmvn: global_cmvn\n", "cmvn: null\n", False, True),
        ("  is_json_cmvn: true\n", "  is_json_cmvn: false\n", True, False),
        (CMVN, "cmvn_file: data/global_cmvn\nis_json_cmvn: true\n", True, True),
        (CMVN, "cmvn_file: null\nis_json_cmvn: true\n", False, True),
    ],
)
def test_read_config_tells_whether_features_are_normalised(old, new, has_cmvn, is_json):
    config = _config("u2pp_conformer", (old, new))
    assert (config.has_cmvn, config.is_json_cmvn) == (has_cmvn, is_json)


def test_read_config_without_a_decoder_reads_none():
    config = _config("u2pp_conformer", ("decoder: bitransformer", "decoder: null"))
    assert config.decoder is None


def test_read_config_at_8_khz_takes_the_rate():
    assert _config("u2pp_conformer", ("resample_rate: 16000", "resample_rate: 8000")).sample_rate_hz == 8000
