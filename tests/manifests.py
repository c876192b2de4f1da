"""Manifests for tests that need one and load nothing: no weights stand behind them."""

from model_store.artifacts.manifest import WEIGHTS_FILE, ConformerShape, File, Manifest, Source

SMALL_CONFORMER = ConformerShape(
    n_mels=80,
    size=8,
    heads=2,
    linear_units=16,
    blocks=1,
    subsampling="conv2d",
    positions="relative",
    activation="swish",
    conv_kernel=3,
    conv_norm="layer_norm",
    conv_norm_epsilon=1e-5,
    is_causal=False,
    norm_epsilon=1e-5,
)


def manifest(name: str = "zh-general", *, weights: str = "0" * 64, weights_bytes: int = 1000) -> Manifest:
    """A Chinese recogniser for everyday talk; versions differ by their name, or by the digest of their `weights`."""
    return Manifest(
        name=name,
        kind="asr",
        language="zh",
        domain="general",
        sample_rate_hz=16_000,
        units=4,
        encoder=SMALL_CONFORMER,
        source=Source(layout="wenet", files={"final.pt": weights}),
        files={WEIGHTS_FILE: File(sha256=weights, size_bytes=weights_bytes)},
    )
