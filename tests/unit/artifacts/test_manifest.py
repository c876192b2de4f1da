"""The manifest names a version."""

import msgspec
import pytest

from model_store.artifacts.manifest import Encoder, File, Manifest, Source, parse
from model_store.errors import ArtifactCorrupt

ENCODER = Encoder(
    kind="conformer", n_mels=80, size=8, heads=2, linear_units=8, blocks=1, subsampling="conv2d", positions="relative",
    activation="swish", conv_kernel=3, conv_norm="layer_norm", is_causal=False, norm_epsilon=1e-5,
    conv_norm_epsilon=1e-5,
)  # fmt: skip
FILES = {"weights.safetensors": File(sha256="0" * 64, size_bytes=12), "units.txt": File(sha256="1" * 64, size_bytes=3)}


def _manifest(files: dict[str, File] = FILES) -> Manifest:
    return Manifest(
        name="tiny", kind="asr", language="zh", sample_rate_hz=16000, units=4, encoder=ENCODER,
        source=Source(layout="test", files={}), files=files,
    )  # fmt: skip


def test_manifest_through_json_keeps_its_digest():
    assert parse(_manifest().to_json()) == _manifest()
    assert parse(_manifest().to_json()).digest == _manifest().digest


def test_manifest_digest_does_not_depend_on_the_order_of_files():
    assert _manifest(dict(reversed(FILES.items()))).digest == _manifest().digest


def test_manifest_with_other_weights_has_another_digest():
    other = FILES | {"weights.safetensors": File(sha256="2" * 64, size_bytes=12)}
    assert _manifest(other).digest != _manifest().digest


@pytest.mark.parametrize(
    ("field", "value"), [("name", "Not A Name"), ("kind", "tts"), ("units", "many"), ("surprise", 1), ("format", 2)]
)
def test_parse_with_a_wrong_field_names_it(field, value):
    changed = msgspec.json.decode(_manifest().to_json()) | {field: value}
    with pytest.raises(ArtifactCorrupt, match=field):
        parse(msgspec.json.encode(changed))
