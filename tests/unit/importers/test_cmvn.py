"""Statistics are read from either text form."""

import json

import numpy as np
import pytest

from model_store.errors import ImportFailed
from model_store.importers.cmvn import read_cmvn

MEAN, VARIANCE, FRAMES = np.array([10.0, -2.0, 0.5]), np.array([4.0, 25.0, 0.0]), 200
SUMS = [MEAN * FRAMES, (VARIANCE + MEAN**2) * FRAMES]


def _json() -> str:
    return json.dumps({"mean_stat": SUMS[0].tolist(), "var_stat": SUMS[1].tolist(), "frame_num": FRAMES})


def _kaldi() -> str:
    first, second = (" ".join(map(str, sums)) for sums in SUMS)
    return f" [\n  {first} {FRAMES}\n  {second} 0 ]\n"


@pytest.mark.parametrize(("text", "is_json"), [(_json(), True), (_kaldi(), False)], ids=["json", "kaldi"])
def test_read_cmvn_gives_mean_and_inverse_deviation(tmp_path, text, is_json):
    (tmp_path / "global_cmvn").write_text(text)
    found = read_cmvn(tmp_path / "global_cmvn", 3, is_json=is_json)
    np.testing.assert_allclose(found["mean"], MEAN)
    # A bin that never varies is scaled as if its deviation were 1e-10.
    np.testing.assert_allclose(found["istd"], [0.5, 0.2, 1e10], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "is_json"),
    [("", True), ("[]", True), ('{"frame_num": 0}', True), (_kaldi(), True), (_json(), False), ("[ 1 2 0 ]", False)],
)
def test_read_cmvn_of_something_else_names_the_file(tmp_path, text, is_json):
    (tmp_path / "global_cmvn").write_text(text)
    with pytest.raises(ImportFailed, match="global_cmvn"):
        read_cmvn(tmp_path / "global_cmvn", 3, is_json=is_json)


def test_read_cmvn_of_other_features_says_how_many_bins(tmp_path):
    (tmp_path / "global_cmvn").write_text(_json())
    with pytest.raises(ImportFailed, match="global_cmvn has 3 bins, the features have 80"):
        read_cmvn(tmp_path / "global_cmvn", 80)
