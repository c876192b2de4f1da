"""WeNet's train.yaml -> what the manifest says; every default of WeNet's is written out here.

Defaults: wenet/transformer/encoder.py (ConformerEncoder), wenet/utils/init_model.py, wenet/dataset/dataset.py.
"""

from dataclasses import dataclass
from typing import Literal

from model_store.artifacts.manifest import Encoder
from model_store.errors import ImportFailed
from model_store.importers.config import Section

# They matter in training only, or say how a stream is cut, while what is served here sees the whole utterance.
_WITHOUT_EFFECT = frozenset({
    "dropout_rate", "positional_dropout_rate", "attention_dropout_rate", "gradient_checkpointing", "use_sdpa",
    "use_dynamic_chunk", "use_dynamic_left_chunk", "n_expert", "n_expert_activated", "positionwise_conv_kernel_size",
})  # fmt: skip
_KINDS: dict[str, Literal["asr", "lid"]] = {"asr_model": "asr", "language_classifier": "lid"}
# WeNet's conv module does not get `norm_eps`; its norm keeps the default of its class.
_CONV_NORM_EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class WenetConfig:
    """The part of a train.yaml that serving depends on."""

    kind: Literal["asr", "lid"]
    units: int
    sample_rate_hz: int
    encoder: Encoder


def read_config(config: Section) -> WenetConfig:
    """Raises ImportFailed naming the first key whose value is not served."""
    model = config.take("model", "asr_model")
    if model not in _KINDS:
        raise ImportFailed(f"model is {model!r}; only {', '.join(_KINDS)} are served so far.")
    config.require("encoder", "conformer", "conformer")
    if _KINDS[model] == "asr":
        config.section("ctc_conf").require("ctc_blank_id", 0, 0)
    dataset = config.section("dataset_conf")
    return WenetConfig(
        kind=_KINDS[model],
        units=config.take_count("output_dim", 0),
        sample_rate_hz=dataset.section("resample_conf").take_count("resample_rate", 16000),
        encoder=_encoder(config.section("encoder_conf"), _n_mels(config, dataset)),
    )


def _n_mels(config: Section, dataset: Section) -> int:
    dataset.require("feats_type", "fbank", "fbank")
    fbank = dataset.section("fbank_conf")
    fbank.require("frame_shift", 10, 10)
    fbank.require("frame_length", 25, 25)
    n_mels = fbank.take_count("num_mel_bins", 23)
    fbank.close({"dither"})
    config.require("input_dim", n_mels, n_mels)
    return n_mels


def _encoder(conf: Section, n_mels: int) -> Encoder:
    _require_served(conf)
    encoder = Encoder(
        kind="conformer",
        n_mels=n_mels,
        size=conf.take_count("output_size", 256),
        heads=conf.take_count("attention_heads", 4),
        linear_units=conf.take_count("linear_units", 2048),
        blocks=conf.take_count("num_blocks", 6),
        subsampling="conv2d",
        positions="relative",
        activation="swish",
        conv_kernel=conf.take_count("cnn_module_kernel", 15),
        conv_norm="layer_norm",
        is_causal=conf.take("causal", False),
        norm_epsilon=conf.take("norm_eps", 1e-5),
        conv_norm_epsilon=_CONV_NORM_EPSILON,
    )
    conf.close(_WITHOUT_EFFECT)
    _check_sizes(encoder)
    return encoder


def _require_served(conf: Section) -> None:
    conf.require("input_layer", "conv2d", "conv2d")
    conf.require("pos_enc_layer_type", "rel_pos", "rel_pos")
    conf.require("selfattention_layer_type", "rel_selfattn", "rel_selfattn")
    conf.require("activation_type", "swish", "swish")
    conf.require("cnn_module_norm", "layer_norm", "batch_norm")
    conf.require("layer_norm_type", "layer_norm", "layer_norm")
    conf.require("mlp_type", "position_wise_feed_forward", "position_wise_feed_forward")
    conf.require("static_chunk_size", 0, 0)
    for key in ("normalize_before", "use_cnn_module", "macaron_style"):
        conf.require(key, True, True)
    for key in ("query_bias", "key_bias", "value_bias", "conv_bias", "mlp_bias"):
        conf.require(key, True, True)
    for key in ("n_kv_head", "head_dim"):
        conf.require(key, None, None)


def _check_sizes(encoder: Encoder) -> None:
    if encoder.size % encoder.heads or encoder.size % 2:
        raise ImportFailed(
            f"encoder_conf.output_size is {encoder.size}, which {encoder.heads} attention_heads cannot share evenly."
        )
    if not encoder.is_causal and encoder.conv_kernel % 2 == 0:
        raise ImportFailed(f"encoder_conf.cnn_module_kernel is {encoder.conv_kernel}; without causal it must be odd.")
