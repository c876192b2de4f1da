"""The attention decoder: WeNet's names and shapes, and what it may look at."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from model_store.starter.decoder import NO_TARGET, DecoderShape, TransformerDecoder, shifted  # noqa: E402

SHAPE = DecoderShape(attention_heads=2, linear_units=24, num_blocks=2)

# The tensors of one block of a WeNet transformer decoder, as a WeNet checkpoint names them.
BLOCK = {
    **{f"{kind}.linear_{x}.weight": (16, 16) for kind in ("self_attn", "src_attn") for x in ("q", "k", "v", "out")},
    **{f"{kind}.linear_{x}.bias": (16,) for kind in ("self_attn", "src_attn") for x in ("q", "k", "v", "out")},
    "feed_forward.w_1.weight": (24, 16),
    "feed_forward.w_1.bias": (24,),
    "feed_forward.w_2.weight": (16, 24),
    "feed_forward.w_2.bias": (16,),
    **{f"norm{n}.{part}": (16,) for n in (1, 2, 3) for part in ("weight", "bias")},
}
DECODER = {
    "embed.0.weight": (9, 16),
    "after_norm.weight": (16,),
    "after_norm.bias": (16,),
    "output_layer.weight": (9, 16),
    "output_layer.bias": (9,),
    **{f"decoders.{i}.{name}": shape for i in range(2) for name, shape in BLOCK.items()},
}


def decoder() -> TransformerDecoder:
    torch.manual_seed(1)
    return TransformerDecoder(SHAPE, 16, 9).eval()


def test_decoder_has_the_tensors_of_a_wenet_checkpoint() -> None:
    assert {name: tuple(tensor.shape) for name, tensor in decoder().state_dict().items()} == DECODER


def test_decoder_does_not_see_later_units() -> None:
    network, encoded, keep = decoder(), torch.randn(1, 7, 16), torch.ones(1, 7, 1)
    one, other = torch.tensor([[2, 3, 4, 5]]), torch.tensor([[2, 3, 8, 7]])
    before, after = network(encoded, keep, one), network(encoded, keep, other)
    torch.testing.assert_close(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2:], after[:, 2:])


def test_decoder_beside_a_longer_clip_gives_what_it_gives_alone() -> None:
    network, encoded, units = decoder(), torch.randn(1, 7, 16), torch.tensor([[2, 3, 4]])
    keep = torch.tensor([[1.0] * 5 + [0.0] * 2])[..., None]
    padded = network(encoded, keep, torch.tensor([[2, 3, 4, 2, 2]]))
    alone = network(encoded[:, :5], torch.ones(1, 5, 1), units)
    torch.testing.assert_close(padded[:, :3], alone, atol=1e-5, rtol=1e-5)


def test_decoder_matches_torchs_own_layers() -> None:
    """An independent oracle: the same weights in torch's transformer decoder layer."""
    network = decoder()
    encoded, units = torch.randn(2, 6, 16), torch.tensor([[2, 3, 4], [2, 5, 5]])
    x = network.embed(units) * 4.0 + network.positions[:, :3]
    hidden = torch.full((3, 3), float("-inf")).triu(1)
    for block in network.decoders:
        theirs = torch.nn.TransformerDecoderLayer(16, 2, 24, 0.0, "relu", batch_first=True, norm_first=True).eval()
        theirs.load_state_dict(as_torchs(block.state_dict()))
        x = theirs(x, encoded, tgt_mask=hidden)
    expected = network.output_layer(network.after_norm(x))
    torch.testing.assert_close(network(encoded, torch.ones(2, 6, 1), units), expected, atol=1e-5, rtol=1e-5)


def as_torchs(block: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    state = {}
    for kind, theirs in (("self_attn", "self_attn"), ("src_attn", "multihead_attn")):
        for part in ("weight", "bias"):
            state[f"{theirs}.in_proj_{part}"] = torch.cat([block[f"{kind}.linear_{x}.{part}"] for x in "qkv"])
            state[f"{theirs}.out_proj.{part}"] = block[f"{kind}.linear_out.{part}"]
    for part in ("weight", "bias"):
        state[f"linear1.{part}"] = block[f"feed_forward.w_1.{part}"]
        state[f"linear2.{part}"] = block[f"feed_forward.w_2.{part}"]
        state |= {f"norm{n}.{part}": block[f"norm{n}.{part}"] for n in (1, 2, 3)}
    return state


def test_shifted_puts_the_end_first_and_last() -> None:
    said, wanted = shifted([[5, 6], [7]], end=2)
    assert said.tolist() == [[2, 5, 6], [2, 7, 2]]
    assert wanted.tolist() == [[5, 6, 2], [7, 2, NO_TARGET]]
