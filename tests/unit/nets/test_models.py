"""The networks whole: their outputs, and their weights by name."""

import numpy as np
import pytest

from model_store.nets.models import build, set_weights, shapes


def test_recogniser_top_tokens_are_the_best_of_all_log_probs(manifest, conformer, clips, run):
    part = build(manifest(conformer())).parts()["encoder"]
    answers = dict(zip(part.outputs, run(part, clips(64)), strict=True))
    log_probs = answers["log_probs"]
    np.testing.assert_allclose(answers["top_log_probs"], -np.sort(-log_probs, axis=-1)[..., :16])
    at_ids = np.take_along_axis(log_probs, answers["top_ids"].astype(np.int64), -1)
    np.testing.assert_allclose(at_ids, answers["top_log_probs"])
    np.testing.assert_allclose(answers["blank_log_probs"], log_probs[..., 0])
    np.testing.assert_allclose(np.exp(log_probs).sum(-1), 1.0, rtol=1e-5)
    assert answers["encoded"].shape == (*log_probs.shape[:2], 16)


@pytest.mark.parametrize(("reverse_blocks", "graphs"), [(None, ["encoder"]), (0, ["encoder", "decoder"])])
def test_recogniser_has_a_decoder_where_the_manifest_has_one(manifest, conformer, decoder, reverse_blocks, graphs):
    shape = None if reverse_blocks is None else decoder(reverse_blocks=reverse_blocks)
    net = build(manifest(conformer(), decoder=shape))
    assert list(net.parts()) == graphs
    assert any(name.startswith("decoder.") for name in shapes(net)) is ("decoder" in graphs)


def test_language_classifier_clip_in_a_padded_batch_gives_the_same_as_alone(manifest, conformer, clips, run):
    labels = {"kind": "lid", "language": None, "labels": ("a", "b", "c"), "units": 3}
    (part,) = build(manifest(conformer(), **labels)).parts().values()
    long, short = clips(96, 41)
    together, alone = run(part, [long, short], 128), run(part, [short])
    np.testing.assert_allclose(together[0][1], alone[0][0], atol=1e-5)


@pytest.mark.parametrize("damage", ["missing", "unexpected", "shape"])
def test_set_weights_that_do_not_fit_names_the_tensor(manifest, conformer, damage):
    net = build(manifest(conformer()))
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes(net).items()}
    if damage == "missing":
        del tensors["ctc.ctc_lo.bias"]
    else:
        tensors["ctc.ctc_lo.bias" if damage == "shape" else "ctc.ctc_lo.extra"] = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match=r"ctc\.ctc_lo\.(bias|extra)"):
        set_weights(net, tensors)
