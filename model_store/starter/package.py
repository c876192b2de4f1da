"""A trained network as a WeNet model directory: `train.yaml`, `final.pt`, `units.txt`, `global_cmvn`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from model_store.errors import ImportFailed
from model_store.starter.decoder import DecoderShape
from model_store.starter.network import N_MELS, EncoderShape, GlobalCmvn
from model_store.starter.units import END, SPECIAL, Units

CMVN_PREFIX = "encoder.global_cmvn."
# Shares of the loss, kept beside the weights as WeNet keeps them.
CTC_WEIGHT = 0.3
LABEL_SMOOTHING = 0.1


def recogniser_config(shape: EncoderShape, decoder: DecoderShape | None, units: Units) -> dict[str, Any]:
    """Give `train.yaml` of a recogniser; without a decoder it was trained with CTC alone."""
    blank, unknown, _ = SPECIAL
    ctc_weight = 1.0 if decoder is None else CTC_WEIGHT
    return _config(shape, len(units.symbols)) | {
        "ctc": "ctc",
        "ctc_conf": {"ctc_blank_id": 0},
        **_decoder_config(decoder),
        "model": "asr_model",
        "model_conf": {"ctc_weight": ctc_weight, "lsm_weight": LABEL_SMOOTHING, "length_normalized_loss": False},
        "tokenizer": "bpe" if units.has_pieces else "char",
        "tokenizer_conf": {
            "symbol_table_path": "units.txt",
            "split_with_space": False,
            "bpe_path": None,
            "non_lang_syms_path": None,
            "is_multilingual": False,
            "num_languages": 1,
            # WeNet gives the start and the end of a sentence the same number.
            "special_tokens": {blank: 0, unknown: 1, "<sos>": END, "<eos>": END},
        },
    }


def _decoder_config(decoder: DecoderShape | None) -> dict[str, Any]:
    if decoder is None:
        return {"decoder": None}
    rates = {"positional_dropout_rate": decoder.dropout_rate}
    rates |= {"self_attention_dropout_rate": 0.0, "src_attention_dropout_rate": 0.0}
    return {"decoder": "transformer", "decoder_conf": asdict(decoder) | rates}


def classifier_config(shape: EncoderShape, n_labels: int) -> dict[str, Any]:
    """Give `train.yaml` of a language classifier: WeNet's keys for the encoder, and our own name for the model."""
    return _config(shape, n_labels) | {"model": "language_classifier"}


def _config(shape: EncoderShape, n_outputs: int) -> dict[str, Any]:
    return {
        "encoder": "conformer",
        "encoder_conf": asdict(shape)
        | {
            "positional_dropout_rate": shape.dropout_rate,
            "attention_dropout_rate": 0.0,
            "normalize_before": True,
            "activation_type": "swish",
            "input_layer": "conv2d",
            "pos_enc_layer_type": "rel_pos",
            "selfattention_layer_type": "rel_selfattn",
            "use_cnn_module": True,
            "cnn_module_norm": "layer_norm",
            "causal": False,
            "use_dynamic_chunk": False,
            "use_dynamic_left_chunk": False,
            "norm_eps": 1.0e-5,
        },
        "cmvn": "global_cmvn",
        "cmvn_conf": {"cmvn_file": "global_cmvn", "is_json_cmvn": True},
        "dataset_conf": {
            "fbank_conf": {"num_mel_bins": N_MELS, "frame_shift": 10, "frame_length": 25, "dither": 0.0},
            "resample_conf": {"resample_rate": 16000},
        },
        "input_dim": N_MELS,
        "output_dim": n_outputs,
    }


def write(folder: Path, network: nn.Module, config: dict[str, Any], unit_table: str, cmvn: str) -> None:
    """Write the directory; the weights are rounded to 16 bits."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.yaml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    (folder / "units.txt").write_text(unit_table, encoding="utf-8")
    (folder / "global_cmvn").write_text(cmvn, encoding="utf-8")
    state = {name: _stored(name, tensor) for name, tensor in network.state_dict().items()}
    torch.save(state, folder / "final.pt")


def _stored(name: str, tensor: Tensor) -> Tensor:
    # Half precision holds 11 bits: enough for weights, not for statistics that are taken from every feature.
    kept = tensor if name.startswith(CMVN_PREFIX) else tensor.half()
    return kept.detach().clone(memory_format=torch.contiguous_format)


def read_weights(folder: Path, network: nn.Module) -> None:
    """Load the rounded weights back into a network of the same shape."""
    state = torch.load(folder / "final.pt", weights_only=True)
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()})


def read_base(folder: Path, network: nn.Module, units: Units) -> None:
    """Load the weights that a training begins with; raises ImportFailed where they are of other units or sizes."""
    advice = f"Make it first: `python -m model_store.starter {folder.name} --work DIR`, with the same --out."
    try:
        if (folder / "units.txt").read_text(encoding="utf-8") != units.as_table():
            raise ImportFailed(f"The model in {folder} has other units than the one that is to begin with it. {advice}")
        read_weights(folder, network)
    except (OSError, RuntimeError) as exc:
        raise ImportFailed(f"The model in {folder} cannot be begun with. {advice}") from exc


def read_shape(folder: Path) -> EncoderShape:
    """Read the encoder's sizes back from `train.yaml`."""
    written = yaml.safe_load((folder / "train.yaml").read_text(encoding="utf-8"))["encoder_conf"]
    return EncoderShape(**{name: written[name] for name in EncoderShape.__dataclass_fields__})


def read_decoder_shape(folder: Path) -> DecoderShape | None:
    """Read the decoder's sizes back from `train.yaml`; None where there is no decoder."""
    written = yaml.safe_load((folder / "train.yaml").read_text(encoding="utf-8")).get("decoder_conf")
    return DecoderShape(**{name: written[name] for name in DecoderShape.__dataclass_fields__}) if written else None


def cmvn_json(cmvn: GlobalCmvn, n_frames: int) -> str:
    """Give WeNet's JSON statistics: sums and sums of squares of each mel bin over `n_frames` feature frames."""
    mean, std = cmvn.mean.double(), 1.0 / cmvn.istd.double()
    sums, squares = mean * n_frames, (std**2 + mean**2) * n_frames
    return json.dumps({"mean_stat": sums.tolist(), "var_stat": squares.tolist(), "frame_num": n_frames})
