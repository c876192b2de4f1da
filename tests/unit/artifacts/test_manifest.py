"""The manifest names a version."""

import msgspec
import pytest

from model_store.artifacts.manifest import ConformerShape, Decoder, File, Manifest, Source, TransformerShape, parse
from model_store.errors import ArtifactCorrupt

ENCODER = ConformerShape(
    n_mels=80, size=8, heads=2, linear_units=8, blocks=1, subsampling="conv2d", positions="relative",
    activation="swish", conv_kernel=3, conv_norm="layer_norm", is_causal=False, norm_epsilon=1e-5,
    conv_norm_epsilon=1e-5,
)  # fmt: skip
FILES = {"weights.safetensors": File(sha256="0" * 64, size_bytes=12), "units.txt": File(sha256="1" * 64, size_bytes=3)}


def _manifest(files: dict[str, File] = FILES) -> Manifest:
    return Manifest(
        name="tiny", kind="asr", language="zh", sample_rate_hz=16000, units=4, encoder=ENCODER,
        source=Source(layout="test", files={}), files=files,
    )  # fmt: skip


DECODER = Decoder(
    heads=2, linear_units=8, blocks=1, activation="relu", norm_epsilon=1e-12, sos=3, eos=3, ctc_weight=0.5,
    reverse_weight=0.0,
)  # fmt: skip
# Written by the first release: its versions keep their names.
FIRST_RELEASE = (
    b'{"encoder":{"activation":"swish","blocks":1,"conv_kernel":3,"conv_norm":"layer_norm","conv_norm_epsilon":0.00001,'
    b'"heads":2,"is_causal":false,"kind":"conformer","linear_units":8,"n_mels":80,"norm_epsilon":0.00001,'
    b'"positions":"relative","size":8,"subsampling":"conv2d"},"files":{"units.txt":{"sha256":"' + b"1" * 64 + b'",'
    b'"size_bytes":3},"weights.safetensors":{"sha256":"' + b"0" * 64 + b'","size_bytes":12}},"kind":"asr",'
    b'"language":"zh","name":"tiny","sample_rate_hz":16000,"source":{"files":{},"layout":"test"},"units":4}'
)


def test_manifest_of_the_first_release_keeps_every_byte():
    assert _manifest().to_json() == FIRST_RELEASE
    assert parse(FIRST_RELEASE) == _manifest()


@pytest.mark.parametrize(
    "changed",
    [
        {"decoder": DECODER},
        {"tokenizer": "bpe"},
        {"encoder": TransformerShape(**{
            name: getattr(ENCODER, name) for name in TransformerShape.__struct_fields__
        })},
    ],
    ids=["decoder", "tokenizer", "encoder"],
)  # fmt: skip
def test_manifest_of_another_network_has_another_digest_and_comes_back(changed):
    other = msgspec.structs.replace(_manifest(), **changed)
    assert other.digest != _manifest().digest
    assert parse(other.to_json()) == other


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
