"""The part of a configuration that WeNet's and PaddleSpeech's code reads alike.

PaddleSpeech's U2 was written after WeNet's: the keys of `encoder_conf` and `decoder_conf` and their defaults are the
same. What differs (epsilons, activations, keys that only one of them has) is read by the layout's own code.
"""

from typing import Literal

from model_store.artifacts.manifest import Activation, ConformerShape, Decoder, Encoder, TransformerShape
from model_store.errors import ImportFailed
from model_store.importers.config import Section

# They matter in training only, or say how a stream is cut, while what is served here sees the whole utterance.
WITHOUT_EFFECT = frozenset({
    "dropout_rate", "positional_dropout_rate", "attention_dropout_rate", "self_attention_dropout_rate",
    "src_attention_dropout_rate", "use_dynamic_chunk", "use_dynamic_left_chunk", "positionwise_conv_kernel_size",
    "selfattention_layer_type",
})  # fmt: skip
ACTIVATIONS: dict[str, Activation] = {
    "swish": "swish", "relu": "relu", "gelu": "gelu", "tanh": "tanh", "hardtanh": "hardtanh", "selu": "selu",
}  # fmt: skip
_SUBSAMPLINGS: dict[str, Literal["conv2d", "conv2d6", "conv2d8"]] = {
    "conv2d": "conv2d", "conv2d6": "conv2d6", "conv2d8": "conv2d8",
}  # fmt: skip
_POSITIONS: dict[str, Literal["relative", "absolute"]] = {"rel_pos": "relative", "abs_pos": "absolute"}
_CONV_NORMS: dict[str, Literal["layer_norm", "batch_norm"]] = {"layer_norm": "layer_norm", "batch_norm": "batch_norm"}
# What both sources score a rescored hypothesis with when nothing else is said: the default of WeNet's command and
# server, and the value in every decode.yaml of PaddleSpeech's.
CTC_WEIGHT = 0.5


def read_conformer(conf: Section, n_mels: int, *, norm_epsilon: float, conv_norm_epsilon: float) -> ConformerShape:
    """`encoder_conf` of a conformer. Raises ImportFailed naming the first key whose value is not served."""
    for key in ("use_cnn_module", "macaron_style"):
        conf.require(key, True, True)
    shape = ConformerShape(
        **_sizes(conf),
        n_mels=n_mels,
        subsampling=conf.choose("input_layer", _SUBSAMPLINGS, "conv2d"),
        positions=conf.choose("pos_enc_layer_type", _POSITIONS, "rel_pos"),
        activation=conf.choose("activation_type", ACTIVATIONS, "swish"),
        norm_epsilon=norm_epsilon,
        conv_kernel=conf.count("cnn_module_kernel", 15),
        conv_norm=conf.choose("cnn_module_norm", _CONV_NORMS, "batch_norm"),
        conv_norm_epsilon=conv_norm_epsilon,
        is_causal=conf.take("causal", False),
    )
    if not shape.is_causal and shape.conv_kernel % 2 == 0:
        kernel = f"{conf.path('cnn_module_kernel')} is {shape.conv_kernel}"
        raise ImportFailed(f"{kernel}; without causal it must be odd.")
    return shape


def read_transformer(
    conf: Section, n_mels: int, *, norm_epsilon: float, activation: Activation = "relu"
) -> TransformerShape:
    """`encoder_conf` of a transformer. Raises ImportFailed naming the first key whose value is not served."""
    return TransformerShape(
        **_sizes(conf),
        n_mels=n_mels,
        subsampling=conf.choose("input_layer", _SUBSAMPLINGS, "conv2d"),
        # With rel_pos a transformer of either source would get no positions at all.
        positions=conf.choose("pos_enc_layer_type", {"abs_pos": _POSITIONS["abs_pos"]}, "abs_pos"),
        activation=activation,
        norm_epsilon=norm_epsilon,
    )


def read_decoder(
    conf: Section,
    encoder: Encoder,
    *,
    is_bidirectional: bool,
    sos: int,
    eos: int,
    norm_epsilon: float,
    activation: Activation = "relu",
    ctc_weight: float = CTC_WEIGHT,
    reverse_weight: float = 0.0,
) -> Decoder:
    """`decoder_conf`. Raises ImportFailed naming the first key whose value is not served."""
    conf.require("input_layer", "embed", "embed")
    for key in ("use_output_layer", "normalize_before"):
        conf.require(key, True, True)
    conf.require("concat_after", False, False)
    heads = conf.count("attention_heads", 4)
    _check_heads(conf, encoder.size, heads)
    return Decoder(
        heads=heads,
        linear_units=conf.count("linear_units", 2048),
        blocks=conf.count("num_blocks", 6),
        reverse_blocks=conf.count("r_num_blocks", 0) if is_bidirectional else 0,
        activation=activation,
        norm_epsilon=norm_epsilon,
        sos=sos,
        eos=eos,
        ctc_weight=ctc_weight,
        reverse_weight=reverse_weight if is_bidirectional else 0.0,
    )


def _sizes(conf: Section) -> dict[str, int]:
    """What every encoder has; and the refusal of what none that is served has."""
    conf.require("normalize_before", True, True)
    conf.require("concat_after", False, False)
    conf.require("static_chunk_size", 0, 0)
    sizes = {
        "size": conf.count("output_size", 256),
        "heads": conf.count("attention_heads", 4),
        "linear_units": conf.count("linear_units", 2048),
        "blocks": conf.count("num_blocks", 6),
    }
    _check_heads(conf, sizes["size"], sizes["heads"])
    return sizes


def _check_heads(conf: Section, size: int, heads: int) -> None:
    if size % heads or size % 2:
        raise ImportFailed(
            f"{conf.path('attention_heads')} is {heads}, and {heads} attention_heads cannot share {size} evenly."
        )
