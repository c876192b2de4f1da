"""The encoders of the U2 family, offline: every frame sees the whole utterance, unless it is told to see less.

Zhang et al. 2020, "Unified streaming and non-streaming" (U2, arXiv 2012.05481), section 3. Names of layers, and so of
weights, are WeNet's (wenet/transformer/encoder.py).
"""

# Paddle has no types.
# mypy: disallow-subclassing-any=False

import math

import paddle
from paddle import nn

from model_store.artifacts.manifest import ConformerShape
from model_store.artifacts.manifest import Encoder as Shape
from model_store.nets.attention import Place, Places
from model_store.nets.blocks import ConformerBlock, TransformerBlock
from model_store.nets.positions import MAX_POSITIONS, in_chunks, penalty_of, present, sinusoids
from model_store.nets.subsampling import GlobalCmvn, Subsampling, subsampled


class Encoder(nn.Layer):
    """Normalisation, subsampling, positions and blocks."""

    def __init__(self, shape: Shape) -> None:
        """Build the encoder that a manifest describes; weights are random until they are set."""
        super().__init__()
        self.shape = shape
        self.scale = math.sqrt(shape.size)
        self.global_cmvn = GlobalCmvn(shape.n_mels)
        self.embed = Subsampling(shape.subsampling, shape.n_mels, shape.size)
        self.encoders = nn.LayerList([_block(shape) for _ in range(shape.blocks)])
        self.after_norm = nn.LayerNorm(shape.size, epsilon=shape.norm_epsilon)
        positions = paddle.to_tensor(sinusoids(MAX_POSITIONS, shape.size))
        self.register_buffer("positions", positions, persistable=False)
        self.places: Places | None = None

    def forward(
        self, features: paddle.Tensor, n_frames: paddle.Tensor, chunk_frames: int = 0, left_chunks: int = -1
    ) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """Encode a batch.

        features: (B, T, n_mels) float32 log mel energies, padded; n_frames: (B,) int64, without the padding. With
        `chunk_frames`, in encoder frames, a frame sees its own chunk and so many before it, all when negative.
        Returns the encoding (B, T', size), keep (B, T', 1) and the encoder frames (B,) of each utterance.
        """
        # The plane is made first: oneDNN would fuse a later unsqueeze into the product and then lose it in bfloat16.
        x = self.embed(self.global_cmvn(features.unsqueeze(1))) * self.scale
        length = paddle.shape(x)[1]
        encoded_frames = subsampled(self.shape.subsampling, n_frames)
        keep = present(encoded_frames, length)
        seen = keep.unsqueeze([1, 2])
        if chunk_frames:
            seen = seen * in_chunks(length, chunk_frames, left_chunks)
        penalty, keep = penalty_of(seen), keep.unsqueeze(-1)
        positions = self.positions[:, :length]
        if self.shape.positions == "absolute":
            x = x + positions
        # Paddle's exporter knows no strict=.
        for block, place in zip(self.encoders, self._places(positions, penalty)):  # noqa: B905
            x = block(x, place, keep)
        return self.after_norm(x), keep, encoded_frames

    def fold(self) -> None:
        """Turn layers into ones that answer the same in less time; the weights are no longer those of the source."""
        for block in self.encoders:
            if isinstance(block, ConformerBlock):
                block.conv_module.fold()
        if self.shape.positions == "relative":
            self.places = Places([block.self_attn for block in self.encoders])

    def _places(self, positions: paddle.Tensor, penalty: paddle.Tensor) -> list[Place]:
        if self.places is None:
            return [block.self_attn.place(positions, penalty) for block in self.encoders]
        places: list[Place] = self.places(positions, penalty)
        return places


def _block(shape: Shape) -> ConformerBlock | TransformerBlock:
    return ConformerBlock(shape) if isinstance(shape, ConformerShape) else TransformerBlock(shape)
