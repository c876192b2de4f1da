"""Encoder and decoder in WeNet's train.yaml; its defaults are those of the classes that they configure.

wenet/transformer/encoder.py, decoder.py and convolution.py (wenet/models/transformer/ since September 2025).
"""

from collections.abc import Callable

from model_store.artifacts.manifest import ConformerShape, Decoder, Encoder, TransformerShape
from model_store.importers.config import Section
from model_store.importers.network import ACTIVATIONS, WITHOUT_EFFECT, read_conformer, read_decoder, read_transformer

_WITHOUT_EFFECT = WITHOUT_EFFECT | {"gradient_checkpointing", "use_sdpa", "n_expert", "n_expert_activated"}
# Tying happens in training; the checkpoint holds both tensors.
_DECODER_WITHOUT_EFFECT = _WITHOUT_EFFECT | {"tie_word_embedding"}
_BIASES = ("query_bias", "key_bias", "value_bias", "mlp_bias")
_SOURCE_BIASES = ("src_query_bias", "src_key_bias", "src_value_bias")

_EPSILON = 1e-5
_EPSILON_UNTIL_2021 = 1e-12


def read_encoder(config: Section, n_mels: int) -> Encoder:
    """`encoder` and `encoder_conf`. Raises ImportFailed naming the first key whose value is not served."""
    read = config.choose("encoder", _ENCODERS, "conformer")
    conf = config.needed_section("encoder_conf")
    _require_plain_blocks(conf, _BIASES)
    shape = read(conf, n_mels, conf.take("norm_eps", _default_epsilon(config)))
    conf.close(_WITHOUT_EFFECT)
    return shape


def read_decoder_of(config: Section, encoder: Encoder, *, sos: int, eos: int, reverse_weight: float) -> Decoder | None:
    """`decoder` and `decoder_conf`; None for a model that has no decoder. Raises ImportFailed as above."""
    kinds = {"bitransformer": True, "transformer": False, None: None}
    is_bidirectional = config.choose("decoder", kinds, "bitransformer")
    if is_bidirectional is None:
        config.section("decoder_conf")
        return None
    conf = config.needed_section("decoder_conf")
    _require_plain_blocks(conf, (*_BIASES, *_SOURCE_BIASES))
    conf.require("src_attention", True, True)
    decoder = read_decoder(
        conf,
        encoder,
        is_bidirectional=is_bidirectional,
        sos=sos,
        eos=eos,
        norm_epsilon=conf.take("norm_eps", _default_epsilon(config)),
        activation=conf.choose("activation_type", ACTIVATIONS, "relu"),
        reverse_weight=reverse_weight,
    )
    conf.close(_DECODER_WITHOUT_EFFECT)
    return decoder


def _conformer(conf: Section, n_mels: int, norm_epsilon: float) -> ConformerShape:
    conf.require("conv_bias", True, True)
    conf.require("conv_inner_factor", 2, 2)
    conf.require("final_norm", True, True)
    shape = read_conformer(
        conf, n_mels, norm_epsilon=norm_epsilon, conv_norm_epsilon=conf.take("conv_norm_eps", _EPSILON)
    )
    # Until November 2023 abs_pos alone made the attention a plain one; since then its type does. The tensors tell
    # which it was: a plain one has no linear_pos.
    served = ("rel_selfattn",) if shape.positions == "relative" else ("selfattn", "rel_selfattn")
    conf.choose("selfattention_layer_type", dict.fromkeys(served), "rel_selfattn")
    return shape


def _transformer(conf: Section, n_mels: int, norm_epsilon: float) -> TransformerShape:
    conf.require("selfattention_layer_type", "selfattn", "selfattn")
    activation = conf.choose("activation_type", ACTIVATIONS, "relu")
    return read_transformer(conf, n_mels, norm_epsilon=norm_epsilon, activation=activation)


_ENCODERS: dict[str, Callable[[Section, int, float], Encoder]] = {"conformer": _conformer, "transformer": _transformer}


def _require_plain_blocks(conf: Section, biases: tuple[str, ...]) -> None:
    conf.require("layer_norm_type", "layer_norm", "layer_norm")
    conf.require("mlp_type", "position_wise_feed_forward", "position_wise_feed_forward")
    for key in biases:
        conf.require(key, True, True)
    for key in ("n_kv_head", "head_dim"):
        conf.require(key, None, None)


def _default_epsilon(config: Section) -> float:
    """What `norm_eps` is where it is not written.

    WeNet's layer norms had 1e-12 until January 2022 and 1e-5 since then, and a key for it since March 2024. A file
    from before October 2021 is known by its `collate_conf`, which no later WeNet reads. One from the months between
    looks like a later one, and today's WeNet runs it with 1e-5.
    """
    return _EPSILON_UNTIL_2021 if "collate_conf" in config else _EPSILON
