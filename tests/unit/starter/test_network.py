"""The networks: WeNet's names and shapes, and independence from padding."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from model_store.starter.decoder import DecoderShape  # noqa: E402
from model_store.starter.layers import CheapDropout, sinusoids  # noqa: E402
from model_store.starter.network import (  # noqa: E402
    EncoderShape,
    GlobalCmvn,
    LanguageClassifier,
    Recogniser,
    encoder_frames,
)

SHAPE = EncoderShape(output_size=16, attention_heads=2, linear_units=24, num_blocks=2, cnn_module_kernel=7)

# The tensors of one block of a WeNet conformer, as a WeNet checkpoint names them.
BLOCK = {
    "self_attn.pos_bias_u": (2, 8),
    "self_attn.pos_bias_v": (2, 8),
    **{f"self_attn.linear_{x}.weight": (16, 16) for x in ("q", "k", "v", "out", "pos")},
    **{f"self_attn.linear_{x}.bias": (16,) for x in ("q", "k", "v", "out")},
    **{f"{ff}.w_1.weight": (24, 16) for ff in ("feed_forward", "feed_forward_macaron")},
    **{f"{ff}.w_1.bias": (24,) for ff in ("feed_forward", "feed_forward_macaron")},
    **{f"{ff}.w_2.weight": (16, 24) for ff in ("feed_forward", "feed_forward_macaron")},
    **{f"{ff}.w_2.bias": (16,) for ff in ("feed_forward", "feed_forward_macaron")},
    "conv_module.pointwise_conv1.weight": (32, 16, 1),
    "conv_module.pointwise_conv1.bias": (32,),
    "conv_module.depthwise_conv.weight": (16, 1, 7),
    "conv_module.depthwise_conv.bias": (16,),
    "conv_module.norm.weight": (16,),
    "conv_module.norm.bias": (16,),
    "conv_module.pointwise_conv2.weight": (16, 16, 1),
    "conv_module.pointwise_conv2.bias": (16,),
    **{f"norm_{n}.{part}": (16,) for n in ("ff", "mha", "ff_macaron", "conv", "final") for part in ("weight", "bias")},
}
ENCODER = {
    "global_cmvn.mean": (80,),
    "global_cmvn.istd": (80,),
    "embed.conv.0.weight": (16, 1, 3, 3),
    "embed.conv.0.bias": (16,),
    "embed.conv.2.weight": (16, 16, 3, 3),
    "embed.conv.2.bias": (16,),
    "embed.out.0.weight": (16, 16 * 19),
    "embed.out.0.bias": (16,),
    "after_norm.weight": (16,),
    "after_norm.bias": (16,),
    **{f"encoders.{i}.{name}": shape for i in range(2) for name, shape in BLOCK.items()},
}


def cmvn() -> GlobalCmvn:
    return GlobalCmvn(torch.full((80,), 2.0), torch.full((80,), 0.5))


def shapes(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def test_recogniser_has_the_tensors_of_a_wenet_checkpoint() -> None:
    wanted = {f"encoder.{name}": shape for name, shape in ENCODER.items()}
    assert shapes(Recogniser(SHAPE, cmvn(), 9, None)) == wanted | {
        "ctc.ctc_lo.weight": (9, 16),
        "ctc.ctc_lo.bias": (9,),
    }


def test_recogniser_with_a_decoder_has_its_tensors_too() -> None:
    names = set(shapes(Recogniser(SHAPE, cmvn(), 9, DecoderShape(2, 24, 1))))
    plain = set(shapes(Recogniser(SHAPE, cmvn(), 9, None)))
    assert plain < names
    assert all(name.startswith("decoder.") for name in names - plain)


def test_classifier_has_the_same_encoder_and_a_linear_head() -> None:
    wanted = {f"encoder.{name}": shape for name, shape in ENCODER.items()}
    assert shapes(LanguageClassifier(SHAPE, cmvn(), 4)) == wanted | {
        "classifier.weight": (4, 16),
        "classifier.bias": (4,),
    }


@pytest.mark.parametrize("n_frames", [7, 8, 10, 11, 50, 97])
def test_encoder_frames_of_any_length_is_what_the_convolutions_give(n_frames: int) -> None:
    logits = Recogniser(SHAPE, cmvn(), 9, None).eval()(torch.zeros(1, n_frames, 80), torch.tensor([n_frames]))
    assert logits.shape == (1, int(encoder_frames(torch.tensor(n_frames))), 9)


@pytest.mark.parametrize(
    "network",
    [Recogniser(SHAPE, cmvn(), 5, DecoderShape()), LanguageClassifier(SHAPE, cmvn(), 5)],
    ids=["recogniser", "classifier"],
)
def test_network_beside_a_longer_clip_gives_what_it_gives_alone(network: torch.nn.Module) -> None:
    torch.manual_seed(1)
    network.eval()
    for layer in network.encoder.encoders:
        # WeNet zeroes padding before this layer only, so its bias leaks into the frames beside the padding.
        torch.nn.init.zeros_(layer.conv_module.pointwise_conv1.bias)
    short, long = torch.randn(1, 61, 80), torch.randn(1, 140, 80)
    batch = torch.cat([torch.nn.functional.pad(short, (0, 0, 0, 79)), long])
    together = network(batch, torch.tensor([61, 140]))[0]
    alone = network(short, torch.tensor([61]))[0]
    torch.testing.assert_close(together[: len(alone)], alone, atol=1e-4, rtol=1e-4)


def test_sinusoids_start_at_position_zero_and_interleave() -> None:
    table = sinusoids(3, 4)[0]
    torch.testing.assert_close(table[0], torch.tensor([0.0, 1.0, 0.0, 1.0]))
    torch.testing.assert_close(table[2, 0], torch.sin(torch.tensor(2.0)))
    torch.testing.assert_close(table[2, 3], torch.cos(torch.tensor(0.02)))


def test_dropout_in_training_drops_its_share_and_keeps_the_mean() -> None:
    torch.manual_seed(1)
    dropped = CheapDropout(0.1)(torch.ones(200_000))
    assert (dropped == 0).float().mean() == pytest.approx(0.1, abs=0.01)
    assert dropped.mean() == pytest.approx(1.0, abs=0.01)


def test_dropout_in_serving_changes_nothing() -> None:
    x = torch.randn(10)
    assert CheapDropout(0.1).eval()(x) is x
