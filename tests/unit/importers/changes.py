"""Ways to spoil the tensors of a checkpoint."""

from collections.abc import Callable

import numpy as np

Tensors = dict[str, np.ndarray]
Change = Callable[[Tensors], None]


def renamed(old: str, new: str) -> Change:
    """Another name for the tensor `old`."""
    return lambda tensors: tensors.update({new: tensors.pop(old)})


def changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Other numbers, or another shape, for the tensor `name`."""
    return lambda tensors: tensors.update({name: change(tensors[name])})
