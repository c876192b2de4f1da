"""WeNet's global_cmvn: sums over the training set -> mean and inverse standard deviation per mel bin."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model_store.errors import ImportFailed

_MAX_BYTES = 1 << 20
_MIN_VARIANCE = 1e-20  # wenet/utils/cmvn.py, _load_json_cmvn
# Sums are written with few digits in some recipes.
_TOLERANCE = 1e-3

Statistics = dict[str, npt.NDArray[np.float32]]


def read_cmvn(path: Path, n_mels: int) -> Statistics:
    """`mean` and `istd`, each (n_mels,), from a JSON of mean_stat, var_stat and frame_num. Raises ImportFailed."""
    try:
        sums = json.loads(path.read_bytes()[: _MAX_BYTES + 1])
        count = float(sums["frame_num"])
        mean = np.asarray(sums["mean_stat"], np.float64) / count
        variance = np.asarray(sums["var_stat"], np.float64) / count - mean**2
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as exc:
        raise ImportFailed(f"{path.name} holds no mean_stat, var_stat and frame_num: {exc!r}.") from exc
    if mean.shape != (n_mels,) or variance.shape != (n_mels,):
        raise ImportFailed(f"{path.name} has {mean.size} bins, the features have {n_mels}.")
    istd = 1.0 / np.sqrt(np.maximum(variance, _MIN_VARIANCE))
    return {"mean": mean.astype(np.float32), "istd": istd.astype(np.float32)}


def check_same(in_checkpoint: Statistics, in_file: Statistics, file_name: str) -> None:
    """Refuse a file that belongs to another model than the checkpoint does."""
    for name, expected in in_file.items():
        found = in_checkpoint[name]
        if found.shape != expected.shape or not np.allclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
            raise ImportFailed(
                f"Tensor encoder.global_cmvn.{name} is not what {file_name} says; one of them is of another model."
            )
