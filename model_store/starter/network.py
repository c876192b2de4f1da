"""The starter networks in torch: WeNet's conformer, name for name and number for number; its decoder is next door.

A state dict of these modules is a WeNet checkpoint, so the same importer that takes users' models takes ours.
Reference: Gulati et al. 2020 (arXiv 2005.08100), sections 2.1-2.4, as coded in wenet/transformer/encoder.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_store.starter.decoder import DecoderShape, TransformerDecoder
from model_store.starter.layers import MASKED, CheapDropout, FeedForward, sinusoids

N_MELS = 80
MAX_ENCODER_FRAMES = 5000


@dataclass(frozen=True)
class EncoderShape:
    """The sizes of one encoder."""

    output_size: int = 96
    attention_heads: int = 4
    linear_units: int = 384
    num_blocks: int = 5
    cnn_module_kernel: int = 15
    dropout_rate: float = 0.1


def encoder_frames(feature_frames: Tensor) -> Tensor:
    """Count the encoder frames (40 ms) of so many feature frames (10 ms), as two unpadded stride-2 convolutions do."""
    return ((feature_frames - 1) // 2 - 1) // 2


class GlobalCmvn(nn.Module):
    """Mean and variance normalisation with statistics of the whole training set."""

    mean: Tensor
    istd: Tensor

    def __init__(self, mean: Tensor, istd: Tensor) -> None:
        """mean, istd: (80,) float32; istd is one over the standard deviation."""
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("istd", istd)

    def forward(self, features: Tensor) -> Tensor:
        """features: (B, T, 80)."""
        return (features - self.mean) * self.istd


class Subsampling(nn.Module):
    """Two 3x3 convolutions of stride 2 and a projection: 10 ms frames to 40 ms frames."""

    def __init__(self, size: int) -> None:
        """`size` is the width of the encoder."""
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, size, 3, 2), nn.ReLU(), nn.Conv2d(size, size, 3, 2), nn.ReLU())
        self.out = nn.Sequential(nn.Linear(size * (((N_MELS - 1) // 2 - 1) // 2), size))

    def forward(self, features: Tensor) -> Tensor:
        """features: (B, T, 80); returns (B, T', size)."""
        planes = self.conv(features.unsqueeze(1).contiguous(memory_format=torch.channels_last))
        return self.out(planes.transpose(1, 2).flatten(2))


class RelPositionAttention(nn.Module):
    """Attention with Transformer-XL position terms, without the relative shift, which WeNet leaves out too."""

    def __init__(self, size: int, heads: int) -> None:
        """`size` is split evenly between `heads`."""
        super().__init__()
        self.heads = heads
        self.linear_q = nn.Linear(size, size)
        self.linear_k = nn.Linear(size, size)
        self.linear_v = nn.Linear(size, size)
        self.linear_out = nn.Linear(size, size)
        self.linear_pos = nn.Linear(size, size, bias=False)
        self.pos_bias_u = nn.Parameter(nn.init.xavier_uniform_(torch.empty(heads, size // heads)))
        self.pos_bias_v = nn.Parameter(nn.init.xavier_uniform_(torch.empty(heads, size // heads)))

    def forward(self, x: Tensor, positions: Tensor, bias: Tensor) -> Tensor:
        """x: (B, T, size); positions: (1, T, size); bias: (B, 1, 1, T), 0 on real frames, else very low."""
        query = self._split(self.linear_q(x))
        key, value = self._split(self.linear_k(x)), self._split(self.linear_v(x))
        where = self._split(self.linear_pos(positions))
        content = (query + self.pos_bias_u[:, None]) @ key.transpose(-1, -2)
        position = (query + self.pos_bias_v[:, None]) @ where.transpose(-1, -2)
        weights = torch.softmax((content + position) / math.sqrt(query.shape[-1]) + bias, dim=-1)
        return self.linear_out((weights @ value).transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, size) to (B, heads, T, size / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class ConvolutionModule(nn.Module):
    """Pointwise, gated, depthwise, normalised, swish, pointwise: it sees the neighbourhood of each frame."""

    def __init__(self, size: int, kernel: int) -> None:
        """`kernel` is odd, in encoder frames."""
        super().__init__()
        self.pointwise_conv1 = nn.Conv1d(size, 2 * size, 1)
        self.depthwise_conv = nn.Conv1d(size, size, kernel, padding=(kernel - 1) // 2, groups=size)
        self.norm = nn.LayerNorm(size)
        self.pointwise_conv2 = nn.Conv1d(size, size, 1)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        """x: (B, T, size); keep: (B, T, 1), 1 on real frames and 0 on padding."""
        gated = functional.glu(_pointwise(self.pointwise_conv1, x * keep), dim=-1)
        spread = self.depthwise_conv(gated.transpose(1, 2)).transpose(1, 2)
        return _pointwise(self.pointwise_conv2, functional.silu(self.norm(spread))) * keep


def _pointwise(conv: nn.Conv1d, x: Tensor) -> Tensor:
    # A kernel of one is a linear layer; said so, it needs no transposes and runs faster.
    return functional.linear(x, conv.weight.squeeze(-1), conv.bias)


class ConformerLayer(nn.Module):
    """Half a feed-forward, attention, convolution, the other half, and a last norm."""

    def __init__(self, shape: EncoderShape) -> None:
        """Build one block of `shape`."""
        super().__init__()
        size = shape.output_size
        self.self_attn = RelPositionAttention(size, shape.attention_heads)
        self.feed_forward = FeedForward(size, shape.linear_units, functional.silu)
        self.feed_forward_macaron = FeedForward(size, shape.linear_units, functional.silu)
        self.conv_module = ConvolutionModule(size, shape.cnn_module_kernel)
        self.norm_ff, self.norm_mha = nn.LayerNorm(size), nn.LayerNorm(size)
        self.norm_ff_macaron, self.norm_conv = nn.LayerNorm(size), nn.LayerNorm(size)
        self.norm_final = nn.LayerNorm(size)
        self.dropout = CheapDropout(shape.dropout_rate)

    def forward(self, x: Tensor, positions: Tensor, bias: Tensor, keep: Tensor) -> Tensor:
        """x: (B, T, size); see the attention and the convolution for the rest."""
        x = x + 0.5 * self.dropout(self.feed_forward_macaron(self.norm_ff_macaron(x)))
        x = x + self.dropout(self.self_attn(self.norm_mha(x), positions, bias))
        x = x + self.dropout(self.conv_module(self.norm_conv(x), keep))
        x = x + 0.5 * self.dropout(self.feed_forward(self.norm_ff(x)))
        return self.norm_final(x)


class ConformerEncoder(nn.Module):
    """CMVN, subsampling, positions and conformer blocks."""

    positions: Tensor

    def __init__(self, shape: EncoderShape, cmvn: GlobalCmvn) -> None:
        """`cmvn` belongs to the network, so that raw filter banks go in."""
        super().__init__()
        self.global_cmvn = cmvn
        self.embed = Subsampling(shape.output_size)
        self.encoders = nn.ModuleList(ConformerLayer(shape) for _ in range(shape.num_blocks))
        self.after_norm = nn.LayerNorm(shape.output_size)
        self.dropout = CheapDropout(shape.dropout_rate)
        self.scale = math.sqrt(shape.output_size)
        self.register_buffer("positions", sinusoids(MAX_ENCODER_FRAMES, shape.output_size), persistent=False)

    def forward(self, features: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        """features: (B, T, 80), raw; n_frames: (B,). Returns (B, T', size) and keep (B, T', 1)."""
        x = self.dropout(self.embed(self.global_cmvn(features)) * self.scale)
        positions = self.dropout(self.positions[:, : x.shape[1]])
        keep = (torch.arange(x.shape[1])[None] < encoder_frames(n_frames)[:, None]).to(x.dtype)
        bias = ((1 - keep) * MASKED)[:, None, None]
        for layer in self.encoders:
            x = layer(x, positions, bias, keep[..., None])
        return self.after_norm(x), keep[..., None]


class CtcHead(nn.Module):
    """The projection to the vocabulary."""

    def __init__(self, size: int, n_units: int) -> None:
        """`n_units` counts the blank, which is 0."""
        super().__init__()
        self.ctc_lo = nn.Linear(size, n_units)


class Recogniser(nn.Module):
    """A conformer with a CTC head and an attention decoder: WeNet's `asr_model`."""

    def __init__(self, shape: EncoderShape, cmvn: GlobalCmvn, n_units: int, decoder: DecoderShape | None) -> None:
        """`n_units` is the size of the vocabulary; `decoder` None: none."""
        super().__init__()
        self.encoder = ConformerEncoder(shape, cmvn)
        self.ctc = CtcHead(shape.output_size, n_units)
        self.decoder = None if decoder is None else TransformerDecoder(decoder, shape.output_size, n_units)

    def forward(self, features: Tensor, n_frames: Tensor) -> Tensor:
        """features: (B, T, 80); n_frames: (B,). Returns the CTC head's logits (B, T', V)."""
        return self.heard(features, n_frames)[0]

    def heard(self, features: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, and for the decoder the encodings (B, T', size) and keep (B, T', 1)."""
        encoded, keep = self.encoder(features, n_frames)
        return self.ctc.ctc_lo(encoded), encoded, keep


class LanguageClassifier(nn.Module):
    """A small conformer, its frames averaged, and one linear layer over the labels."""

    def __init__(self, shape: EncoderShape, cmvn: GlobalCmvn, n_labels: int) -> None:
        """`n_labels` counts `other`, which stands for no speech."""
        super().__init__()
        self.encoder = ConformerEncoder(shape, cmvn)
        self.classifier = nn.Linear(shape.output_size, n_labels)

    def forward(self, features: Tensor, n_frames: Tensor) -> Tensor:
        """features: (B, T, 80); n_frames: (B,). Returns logits (B, n_labels)."""
        encoded, keep = self.encoder(features, n_frames)
        logits: Tensor = self.classifier((encoded * keep).sum(1) / keep.sum(1).clamp(min=1.0))
        return logits
