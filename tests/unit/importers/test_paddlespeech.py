"""PaddleSpeech checkpoints come in whole, and answer what PaddleSpeech answers."""

import json
from pathlib import Path

import numpy as np
import paddle
import pytest

from model_store.artifacts.graphs import DECODER
from model_store.artifacts.manifest import ConformerShape, Decoder, TransformerShape
from model_store.artifacts.store import ArtifactStore
from model_store.errors import ImportFailed
from model_store.importers.paddlespeech import import_paddlespeech, read_paddlespeech
from model_store.importers.publishing import Draft
from model_store.importers.request import ImportRequest
from model_store.nets.models import Recogniser, build, set_weights
from model_store.predictors.load import load
from tests.trees import tree_of

DATA = Path(__file__).parents[2] / "data" / "paddlespeech"
NAMES = ("conformer", "transformer", "u2pp")


def _draft(source: Path) -> Draft:
    return read_paddlespeech(source, ImportRequest(source=str(source), name="m", language="zh", domain="news"))


def _network(draft: Draft) -> Recogniser:
    net = build(draft.manifest)
    assert isinstance(net, Recogniser)
    set_weights(net, dict(draft.tensors))
    return net


def test_read_paddlespeech_conformer_writes_every_choice_into_the_manifest():
    manifest = _draft(DATA / "conformer").manifest
    assert manifest.encoder == ConformerShape(
        n_mels=80, size=16, heads=2, linear_units=24, blocks=2, subsampling="conv2d", positions="relative",
        activation="swish", conv_kernel=7, conv_norm="batch_norm", is_causal=False, norm_epsilon=1e-12,
        conv_norm_epsilon=1e-5,
    )  # fmt: skip
    assert manifest.decoder == Decoder(
        heads=2, linear_units=24, blocks=1, activation="relu", norm_epsilon=1e-12, sos=29, eos=29, ctc_weight=0.5,
        reverse_weight=0.0,
    )  # fmt: skip
    assert (manifest.language, manifest.domain, manifest.tokenizer) == ("zh", "news", "char")
    assert (manifest.units, manifest.sample_rate_hz) == (30, 16000)
    assert manifest.source.layout == "paddlespeech"
    assert set(manifest.source.files) == {
        "conf/model.yaml", "data/mean_std.json", "data/lang_char/vocab.txt",
        "exp/conformer/checkpoints/conformer.pdparams",
    }  # fmt: skip


def test_read_paddlespeech_u2pp_reads_both_directions():
    manifest = _draft(DATA / "u2pp").manifest
    assert isinstance(manifest.encoder, ConformerShape)
    assert (manifest.encoder.conv_norm, manifest.encoder.is_causal, manifest.encoder.conv_kernel) == (
        *("layer_norm", True, 8),
    )
    assert manifest.decoder is not None
    assert (manifest.decoder.blocks, manifest.decoder.reverse_blocks) == (1, 1)
    assert (manifest.decoder.ctc_weight, manifest.decoder.reverse_weight) == (0.5, 0.3)
    assert set(manifest.source.files) == {
        "model.yaml",
        "exp/chunk_conformer_u2pp/checkpoints/chunk_conformer_u2pp.pdparams",
    }


def test_read_paddlespeech_transformer_reads_pieces_and_where_its_features_come_from():
    draft = _draft(DATA / "transformer")
    assert draft.manifest.encoder == TransformerShape(
        n_mels=80, size=16, heads=2, linear_units=24, blocks=2, subsampling="conv2d", positions="absolute",
        activation="relu", norm_epsilon=1e-12,
    )  # fmt: skip
    assert draft.manifest.tokenizer == "bpe"
    assert draft.manifest.decoder is not None
    assert draft.manifest.decoder.ctc_weight == 0.4
    assert draft.units_text.splitlines()[2] == "▁a 2"
    assert {"conf/preprocess.yaml", "data/mean_std.json"} <= set(draft.manifest.source.files)


@pytest.mark.parametrize("name", NAMES)
def test_read_paddlespeech_encoder_answers_as_paddlespeech_does(name):
    golden, net = np.load(DATA / name / "golden.npz"), _network(_draft(DATA / name))
    feats = golden["feats"]
    with paddle.no_grad():
        encoded, *_ = net.encoder(paddle.to_tensor(feats), paddle.to_tensor([feats.shape[1]], dtype="int64"))
        log_probs = paddle.nn.functional.log_softmax(net.ctc.ctc_lo(encoded), axis=-1)
    np.testing.assert_allclose(encoded.numpy(), golden["encoder_out"], atol=2e-5)
    np.testing.assert_allclose(log_probs.numpy(), golden["ctc_logprobs"], atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_read_paddlespeech_decoder_answers_as_paddlespeech_does(name):
    golden, net = np.load(DATA / name / "golden.npz"), _network(_draft(DATA / name))
    part = net.parts()[DECODER]
    inputs, steps = {"encoded": golden["encoder_out"]}, {}
    for output in part.outputs:
        prefix = output.removesuffix("token_log_probs")
        tokens, targets = golden[f"{prefix}tokens"], golden[f"{prefix}targets"]
        sos, eos = tokens[0, 0], targets[0, -1]
        arrays, steps[output] = tree_of([row[: row.tolist().index(eos)].tolist() for row in targets], sos, eos)
        inputs |= {prefix + name: array for name, array in arrays.items()}
    with paddle.no_grad():
        outputs = part(*(paddle.to_tensor(inputs[spec.name]) for spec in part.inputs))
    assert part.outputs == ("token_log_probs", "reverse_token_log_probs") or name != "u2pp"
    for output, values in zip(part.outputs, outputs, strict=True):
        for row, of in zip(golden[output.replace("log_probs", "logprobs")], steps[output], strict=True):
            np.testing.assert_allclose(values.numpy()[of], row[: len(of)], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_import_paddlespeech_publishes_a_version_that_runs(name, tmp_path):
    store, golden = ArtifactStore(tmp_path / "store"), np.load(DATA / name / "golden.npz")
    imported = import_paddlespeech(ImportRequest(source=str(DATA / name), name="m", language="zh"), store)
    assert (imported.kind, imported.layout) == ("asr", "paddlespeech")
    version = imported.version
    predictor = load(store.version_dir(version), store.graph_dir(version), precision="fp32", threads=1)
    (found,) = predictor.log_probs_of([golden["feats"][0]])
    np.testing.assert_allclose(found, golden["ctc_logprobs"][0], atol=1e-4)


def test_read_paddlespeech_written_beside_its_directory_finds_its_files(paddlespeech_copy):
    # A training directory `conformer` whose yaml says conformer/data/...
    source = paddlespeech_copy("conformer", {"conf/model.yaml": ("data/mean_std", "conformer/data/mean_std")})
    text = (source / "conf/model.yaml").read_text()
    (source / "conf/model.yaml").write_text(text.replace("data/lang_char", "conformer/data/lang_char"))
    digests = _draft(source).manifest.source.files
    whole = _draft(DATA / "conformer").manifest.source.files
    assert digests.keys() == whole.keys()
    assert digests["data/mean_std.json"] == whole["data/mean_std.json"]


def test_read_paddlespeech_without_cmvn_leaves_features_as_they_are(paddlespeech_copy, change_tensors):
    source = paddlespeech_copy("conformer", {"conf/model.yaml": ("cmvn_file: data/mean_std.json", "cmvn_file:")})
    change_tensors(source, lambda t: [t.pop(f"encoder.global_cmvn.{name}") for name in ("mean", "istd")])
    tensors = _draft(source).tensors
    assert not tensors["encoder.global_cmvn.mean"].any()
    assert (tensors["encoder.global_cmvn.istd"] == 1.0).all()


def test_read_paddlespeech_statistics_only_in_their_file_are_taken_from_there(paddlespeech_copy, change_tensors):
    source = paddlespeech_copy("conformer")
    change_tensors(source, lambda t: [t.pop(f"encoder.global_cmvn.{name}") for name in ("mean", "istd")])
    found, whole = _draft(source).tensors, _draft(DATA / "conformer").tensors
    for name in ("encoder.global_cmvn.mean", "encoder.global_cmvn.istd"):
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-5)


def test_read_paddlespeech_at_8_khz_takes_the_rate(paddlespeech_copy):
    at_16, at_8 = "fs: 16000\n    n_mels: 80\n    n_shift: 160\n    win_length: 400", "fs: 8000\n    n_mels: 80"
    at_8 += "\n    n_shift: 80\n    win_length: 200"
    source = paddlespeech_copy("conformer", {"conf/model.yaml": (at_16, at_8)})
    assert _draft(source).manifest.sample_rate_hz == 8000


def test_read_paddlespeech_vocabulary_without_blank_and_eos_gets_them(paddlespeech_copy):
    source = paddlespeech_copy("conformer", {"data/lang_char/vocab.txt": ("<blank>\n", "")})
    path = source / "data/lang_char/vocab.txt"
    path.write_text(path.read_text().removesuffix("<eos>\n"))
    assert _draft(source).units_text == _draft(DATA / "conformer").units_text


def test_read_paddlespeech_without_a_language_is_refused():
    with pytest.raises(ImportFailed, match="language"):
        read_paddlespeech(DATA / "u2pp", ImportRequest(source="u2pp", name="m"))


def test_read_paddlespeech_statistics_of_the_yaml_are_those_of_the_file(paddlespeech_copy):
    source = paddlespeech_copy("u2pp")
    sums = (DATA / "conformer/data/mean_std.json").read_text()
    start, _, rest = (source / "model.yaml").read_text().partition("cmvn_path:")
    end = rest.index("\n  - type")
    (source / "model.yaml").write_text(f"{start}cmvn_path: data/mean_std.json{rest[end:]}")
    (source / "data").mkdir()
    (source / "data/mean_std.json").write_text(json.dumps(json.loads(sums)))
    found, whole = _draft(source).tensors, _draft(DATA / "u2pp").tensors
    for name in ("encoder.global_cmvn.mean", "encoder.global_cmvn.istd"):
        np.testing.assert_array_equal(found[name], whole[name])
