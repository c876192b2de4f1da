"""Statistics of the training set: sums over it -> mean and inverse standard deviation per mel bin."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model_store.errors import ImportFailed
from model_store.importers.tensors import Array

_MAX_BYTES = 1 << 20
# wenet/utils/cmvn.py and paddlespeech/s2t/frontend/utility.py, _load_json_cmvn
_MIN_VARIANCE = 1e-20
# Sums are written with few digits in some recipes.
_TOLERANCE = 1e-3
_TENSORS = {"mean": "encoder.global_cmvn.mean", "istd": "encoder.global_cmvn.istd"}

Statistics = dict[str, npt.NDArray[np.float32]]


def read_cmvn(path: Path, n_mels: int, *, is_json: bool = True) -> Statistics:
    """`mean` and `istd`, each (n_mels,), from a JSON of sums or from Kaldi's text. Raises ImportFailed."""
    try:
        raw = path.read_bytes()[: _MAX_BYTES + 1]
        sums = json.loads(raw) if is_json else _kaldi_sums(raw.decode("ascii").split())
    except (OSError, ValueError, RecursionError) as exc:
        raise ImportFailed(f"{path.name} holds no mean_stat, var_stat and frame_num: {type(exc).__name__}.") from exc
    return statistics(sums, n_mels, path.name)


def statistics(sums: Any, n_mels: int, told: str) -> Statistics:
    """`mean` and `istd` from `mean_stat`, `var_stat` and `frame_num`; `told` says where they stand."""
    try:
        count = float(sums["frame_num"])
        mean = np.asarray(sums["mean_stat"], np.float64) / count
        variance = np.asarray(sums["var_stat"], np.float64) / count - mean**2
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as exc:
        raise ImportFailed(f"{told} holds no mean_stat, var_stat and frame_num: {exc!r}.") from exc
    if mean.shape != (n_mels,) or variance.shape != (n_mels,):
        raise ImportFailed(f"{told} has {mean.size} bins, the features have {n_mels}.")
    istd = 1.0 / np.sqrt(np.maximum(variance, _MIN_VARIANCE))
    return {"mean": mean.astype(np.float32), "istd": istd.astype(np.float32)}


def no_normalisation(n_mels: int) -> Statistics:
    """What leaves features as they are, for a source that does not normalise them."""
    return {"mean": np.zeros(n_mels, np.float32), "istd": np.ones(n_mels, np.float32)}


def with_statistics(checkpoint: Mapping[str, Array], in_file: Statistics, told: str) -> dict[str, Array]:
    """The tensors of a network that normalises; statistics may stand in the checkpoint too, and then are the same.

    Raises ImportFailed where they are another model's.
    """
    for name, tensor in _TENSORS.items():
        found, expected = checkpoint.get(tensor), in_file[name]
        if found is None:
            continue
        if found.shape != expected.shape or not np.allclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
            raise ImportFailed(f"Tensor {tensor} is not what {told} says; one of them is of another model.")
    return {tensor: in_file[name] for name, tensor in _TENSORS.items()} | dict(checkpoint)


def normalised_before(checkpoint: Mapping[str, Array], outside: Statistics) -> dict[str, Array]:
    """The tensors of a network whose source normalises with `outside` before it, or not at all.

    Raises ImportFailed where the network has statistics too.
    """
    for tensor in _TENSORS.values():
        if tensor in checkpoint:
            raise ImportFailed(f"Unexpected tensor {tensor}: the configuration has no cmvn for it.", tensor=tensor)
    return with_statistics(checkpoint, outside, "")


def _kaldi_sums(numbers: list[str]) -> dict[str, Any]:
    """[ m1 ... mN frames v1 ... vN 0 ], as compute-cmvn-stats writes with --binary=false."""
    if numbers[:1] != ["["] or numbers[-2:] != ["0", "]"] or len(numbers) % 2:
        raise ValueError("no statistics in Kaldi's text form")
    values = [float(number) for number in numbers[1:-2]]
    n_mels = len(values) // 2
    return {"mean_stat": values[:n_mels], "frame_num": values[n_mels], "var_stat": values[n_mels + 1 :]}
