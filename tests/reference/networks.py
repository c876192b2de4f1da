"""Three networks at the sizes that PaddleSpeech published them in, as the `model.yaml` of their archives says it.

Sources: PaddleSpeech's examples/wenetspeech/asr1 (conformer.yaml, chunk_conformer_u2pp.yaml), examples/librispeech/asr1
(transformer.yaml), and the archives' names in its paddlespeech/resource/pretrained_models.py. What only training reads
is left out. The archives differ in where they keep things, as the published ones do: the vocabulary and the statistics
in files or within `model.yaml`, and the statistics with the network or with the features.
"""

from dataclasses import dataclass
from typing import Any, Literal

Settings = dict[str, Any]

VOCABULARY_FILE, CMVN_FILE, PIECES_PREFIX = "data/lang_char/vocab.txt", "data/mean_std.json", "data/lang_char/bpe"
N_MELS = 80
BEAM_SIZE = 10


@dataclass(frozen=True)
class Network:
    """One published network: PaddleSpeech's tag for it, the path of its checkpoint, and its shape.

    spread: standard deviation of the random weights' scores. With little of it, rounding in the filter bank decides
    which of two equal texts it is; the more of it, the more the scores themselves differ by rounding.
    """

    tag: str
    language: str
    checkpoint: str
    shape: Settings
    units: int
    unit_type: Literal["char", "spm"]
    is_inline: bool
    is_cmvn_of_features: bool
    reverse_weight: float = 0.0
    spread: float = 1.0


FBANK = {"type": "fbank_kaldi", "fs": 16000, "n_mels": N_MELS, "n_shift": 160, "win_length": 400, "dither": 0.1}
_DECODING = {
    "beam_size": BEAM_SIZE,
    "decoding_method": "attention",
    "ctc_weight": 0.5,
    "decoding_chunk_size": -1,
    "num_decoding_left_chunks": -1,
    "simulate_streaming": False,
    "decode_batch_size": 128,
    "error_rate_type": "cer",
}


def _encoder(size: int, heads: int) -> Settings:
    return {
        "output_size": size,
        "attention_heads": heads,
        "linear_units": 2048,
        "num_blocks": 12,
        "dropout_rate": 0.1,
        "positional_dropout_rate": 0.1,
        "attention_dropout_rate": 0.0,
        "input_layer": "conv2d",
        "normalize_before": True,
    }


def _decoder(heads: int, blocks: int) -> Settings:
    return {
        "attention_heads": heads,
        "linear_units": 2048,
        "num_blocks": blocks,
        "dropout_rate": 0.1,
        "positional_dropout_rate": 0.1,
        "self_attention_dropout_rate": 0.0,
        "src_attention_dropout_rate": 0.0,
    }


_CONFORMER = {
    **_encoder(512, heads=8),
    "use_cnn_module": True,
    "cnn_module_kernel": 15,
    "cnn_module_norm": "layer_norm",
    "activation_type": "swish",
    "pos_enc_layer_type": "rel_pos",
    "selfattention_layer_type": "rel_selfattn",
}
_STREAMED = {"causal": True, "use_dynamic_chunk": True, "use_dynamic_left_chunk": False}
_LOSS = {"ctc_weight": 0.3, "lsm_weight": 0.1, "length_normalized_loss": False}

NETWORKS = {
    "conformer": Network(
        tag="conformer_wenetspeech",
        language="zh",
        checkpoint="exp/conformer/checkpoints/wenetspeech",
        shape={
            "encoder": "conformer",
            "encoder_conf": _CONFORMER,
            "decoder": "transformer",
            "decoder_conf": _decoder(heads=8, blocks=6),
            "model_conf": _LOSS,
        },
        units=5537,
        unit_type="char",
        is_inline=False,
        is_cmvn_of_features=False,
    ),
    "transformer": Network(
        tag="transformer_librispeech",
        language="en",
        checkpoint="exp/transformer/checkpoints/avg_10",
        shape={
            "encoder": "transformer",
            "encoder_conf": _encoder(256, heads=4),
            "decoder": "transformer",
            "decoder_conf": _decoder(heads=4, blocks=6),
            "model_conf": _LOSS,
        },
        units=5002,
        unit_type="spm",
        is_inline=False,
        is_cmvn_of_features=True,
        spread=0.8,
    ),
    "u2pp": Network(
        tag="conformer_u2pp_online_wenetspeech",
        language="zh",
        checkpoint="exp/chunk_conformer_u2pp/checkpoints/avg_10",
        shape={
            "encoder": "conformer",
            "encoder_conf": _CONFORMER | _STREAMED,
            "decoder": "bitransformer",
            "decoder_conf": _decoder(heads=8, blocks=3) | {"r_num_blocks": 3},
            "model_conf": _LOSS | {"reverse_weight": 0.3, "init_type": "kaiming_uniform"},
        },
        units=5537,
        unit_type="char",
        is_inline=True,
        is_cmvn_of_features=True,
        reverse_weight=0.3,
    ),
}


def settings(network: Network, vocabulary: list[str], cmvn: Settings) -> Settings:
    """The archive's `model.yaml`; paths are relative to the archive, as PaddleSpeech reads them."""
    statistics = cmvn if network.is_inline else CMVN_FILE
    normalise = [{"type": "cmvn_json", "cmvn_path": statistics}] if network.is_cmvn_of_features else []
    return {
        **network.shape,
        "input_dim": N_MELS,
        "output_dim": network.units,
        "feat_dim": N_MELS,
        "cmvn_file": "" if network.is_cmvn_of_features else CMVN_FILE,
        "cmvn_file_type": "json",
        "unit_type": network.unit_type,
        "vocab_filepath": vocabulary if network.is_inline else VOCABULARY_FILE,
        "spm_model_prefix": PIECES_PREFIX if network.unit_type == "spm" else "",
        "preprocess_config": {"process": [FBANK, *normalise]},
        "num_decoding_left_chunks": -1,
        "decode": _DECODING | ({"reverse_weight": network.reverse_weight} if network.reverse_weight else {}),
    }
