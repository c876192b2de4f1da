"""A tiny network written as a WeNet directory and read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import yaml  # noqa: E402

from model_store.errors import ImportFailed  # noqa: E402
from model_store.starter import package  # noqa: E402
from model_store.starter.decoder import DecoderShape  # noqa: E402
from model_store.starter.network import EncoderShape, GlobalCmvn, LanguageClassifier, Recogniser  # noqa: E402
from model_store.starter.units import Units  # noqa: E402

SHAPE = EncoderShape(output_size=16, attention_heads=2, linear_units=24, num_blocks=1, cnn_module_kernel=7)
UNITS = Units.over(["一", "二"])


DECODER = DecoderShape(attention_heads=2, linear_units=24, num_blocks=1)


def recogniser() -> Recogniser:
    torch.manual_seed(1)
    return Recogniser(SHAPE, GlobalCmvn(torch.linspace(1.0, 9.0, 80), torch.linspace(0.2, 0.4, 80)), 5, DECODER)


def written(folder: Path) -> Recogniser:
    network = recogniser().to(memory_format=torch.channels_last)
    config = package.recogniser_config(SHAPE, DECODER, UNITS)
    package.write(folder, network, config, UNITS.as_table(), package.cmvn_json(network.encoder.global_cmvn, 1000))
    return network


def test_package_read_back_gives_the_rounded_weights(tmp_path: Path) -> None:
    network, fresh = written(tmp_path), recogniser()
    package.read_weights(tmp_path, fresh)
    for name, tensor in network.state_dict().items():
        rounded = tensor if name.startswith("encoder.global_cmvn") else tensor.half().float()
        torch.testing.assert_close(fresh.state_dict()[name], rounded, atol=0, rtol=0)


def test_package_stores_contiguous_half_precision_but_for_the_statistics(tmp_path: Path) -> None:
    written(tmp_path)
    state = torch.load(tmp_path / "final.pt", weights_only=True)
    assert all(tensor.is_contiguous() for tensor in state.values())
    full = {name for name, tensor in state.items() if tensor.dtype == torch.float32}
    assert full == {"encoder.global_cmvn.mean", "encoder.global_cmvn.istd"}
    assert {tensor.dtype for tensor in state.values()} == {torch.float16, torch.float32}


def test_package_statistics_give_the_networks_mean_and_deviation(tmp_path: Path) -> None:
    network = written(tmp_path)
    statistics = json.loads((tmp_path / "global_cmvn").read_text(encoding="utf-8"))
    mean = np.array(statistics["mean_stat"]) / statistics["frame_num"]
    variance = np.array(statistics["var_stat"]) / statistics["frame_num"] - mean**2
    np.testing.assert_allclose(mean, network.encoder.global_cmvn.mean, rtol=1e-6)
    np.testing.assert_allclose(1 / np.sqrt(variance), network.encoder.global_cmvn.istd, rtol=1e-5)


def test_package_config_of_a_recogniser_says_what_wenet_needs(tmp_path: Path) -> None:
    written(tmp_path)
    config = yaml.safe_load((tmp_path / "train.yaml").read_text(encoding="utf-8"))
    assert (config["encoder"], config["decoder"]) == ("conformer", "transformer")
    assert config["model_conf"]["ctc_weight"] == 0.3
    assert config["tokenizer_conf"]["special_tokens"]["<eos>"] == 2
    assert (config["input_dim"], config["output_dim"], config["tokenizer"]) == (80, 5, "char")
    assert config["encoder_conf"]["causal"] is False
    assert package.read_shape(tmp_path) == SHAPE
    assert package.read_decoder_shape(tmp_path) == DECODER
    assert (tmp_path / "units.txt").read_text(encoding="utf-8").splitlines()[3:] == ["一 3", "二 4"]


def test_package_config_without_a_decoder_says_so() -> None:
    config = package.recogniser_config(SHAPE, None, UNITS)
    assert (config["decoder"], config["model_conf"]["ctc_weight"]) == (None, 1.0)


def test_package_config_of_pieces_says_that_they_are() -> None:
    assert package.recogniser_config(SHAPE, DECODER, Units.over(["\u2581", "a", "\u2581a"]))["tokenizer"] == "bpe"
    assert package.recogniser_config(SHAPE, DECODER, UNITS)["tokenizer"] == "char"


def test_read_base_of_other_units_says_what_to_make_first(tmp_path: Path) -> None:
    written(tmp_path)
    package.read_base(tmp_path, recogniser(), UNITS)
    with pytest.raises(ImportFailed, match="other units"):
        package.read_base(tmp_path, recogniser(), Units.over(["一", "三"]))
    with pytest.raises(ImportFailed, match="Make it first"):
        package.read_base(tmp_path / "nowhere", recogniser(), UNITS)


def test_package_config_of_a_classifier_names_its_model_and_has_no_ctc() -> None:
    config = package.classifier_config(SHAPE, 4)
    assert (config["model"], config["output_dim"]) == ("language_classifier", 4)
    assert "ctc" not in config


def test_read_weights_into_another_kind_of_network_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    other = LanguageClassifier(SHAPE, GlobalCmvn(torch.zeros(80), torch.ones(80)), 4)
    with pytest.raises(RuntimeError, match="classifier"):
        package.read_weights(tmp_path, other)
