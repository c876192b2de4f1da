"""The attention decoders, before they are exported."""

import numpy as np
import paddle
import pytest

from model_store.nets.decoder import build_decoder
from tests.trees import tree_of

SIZE, UNITS, SOS, EOS = 16, 20, 18, 19
TEXTS = [[3, 5, 7, 5], [3, 5], [11, 2, 2, 9, 4, 1], []]


def _told(texts: list[list[int]]) -> list[paddle.Tensor]:
    arrays, _ = tree_of(texts, SOS, EOS)
    return [paddle.to_tensor(array) for array in arrays.values()]


def _scores(net, encoded: paddle.Tensor, texts: list[list[int]]) -> list[np.ndarray]:
    """The log-probabilities of each text's tokens and of its end."""
    arrays, steps = tree_of(texts, SOS, EOS)
    (found,) = net(encoded, *(paddle.to_tensor(array) for array in arrays.values()))
    return [found.numpy()[of] for of in steps]


@pytest.fixture
def net(decoder):
    net = build_decoder(decoder(), SIZE, UNITS)
    net.eval()
    return net


@pytest.fixture
def encoded() -> paddle.Tensor:
    return paddle.randn([1, 13, SIZE])


def _logits(net, encoded: paddle.Tensor, tokens: list[int]) -> np.ndarray:
    """What comes next after `tokens`: the same weights, put together step by step in numpy (float64)."""
    weights = {name: tensor.numpy().astype(np.float64) for name, tensor in net.state_dict().items()}
    memory = encoded.numpy()[0].astype(np.float64)

    def linear(x, name):
        return x @ weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def attention(x, y, name, hidden=None):
        mixed = []
        for head in np.split(np.arange(SIZE), 2):
            q, k, v = (linear(z, f"{name}.linear_{what}")[:, head] for z, what in ((x, "q"), (y, "k"), (y, "v")))
            scores = q @ k.T / np.sqrt(len(head))
            scores = np.exp(scores if hidden is None else np.where(hidden, -np.inf, scores))
            mixed.append(scores / scores.sum(-1, keepdims=True) @ v)
        return linear(np.concatenate(mixed, -1), f"{name}.linear_out")

    length = len(tokens)
    rates = 10000.0 ** -(np.arange(0, SIZE, 2) / SIZE)
    angles = np.arange(length)[:, None] * rates
    x = weights["embed.0.weight"][tokens] * np.sqrt(SIZE)
    x[:, 0::2] += np.sin(angles)
    x[:, 1::2] += np.cos(angles)
    later = np.triu(np.ones((length, length), bool), 1)
    for block in ("decoders.0", "decoders.1"):
        said = norm(x, f"{block}.norm1")
        x = x + attention(said, said, f"{block}.self_attn", later)
        x = x + attention(norm(x, f"{block}.norm2"), memory, f"{block}.src_attn")
        hidden = np.maximum(linear(norm(x, f"{block}.norm3"), f"{block}.feed_forward.w_1"), 0)
        x = x + linear(hidden, f"{block}.feed_forward.w_2")
    return linear(norm(x, "after_norm"), "output_layer")


def test_decoder_log_probs_are_those_of_the_formulas(net, encoded):
    for found, text in zip(_scores(net, encoded, TEXTS), TEXTS, strict=True):
        logits = _logits(net, encoded, [SOS, *text])
        log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        expected = [log_probs[i, token] for i, token in enumerate([*text, EOS])]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_decoder_text_among_others_is_scored_as_alone(net, encoded):
    for together, text in zip(_scores(net, encoded, TEXTS), TEXTS, strict=True):
        (alone,) = _scores(net, encoded, [text])
        np.testing.assert_allclose(together, alone, atol=1e-5)


def test_bitransformer_scores_reversed_texts_with_its_second_decoder(decoder, encoded):
    net = build_decoder(decoder(reverse_blocks=1, reverse_weight=0.3), SIZE, UNITS)
    net.eval()
    texts, reversed_texts = _told(TEXTS), _told([text[::-1] for text in TEXTS])
    forward, backward = net(encoded, *texts, *reversed_texts)
    np.testing.assert_allclose(forward.numpy(), net.left_decoder(encoded, *texts)[0].numpy())
    np.testing.assert_allclose(backward.numpy(), net.right_decoder(encoded, *reversed_texts)[0].numpy())
    assert len(net.left_decoder.decoders) == 2
    assert len(net.right_decoder.decoders) == 1
