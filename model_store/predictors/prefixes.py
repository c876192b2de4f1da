"""Texts that begin alike, as one tree: what an attention decoder makes of a common beginning is computed once."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Nodes and steps are padded to a multiple of this, so that an engine sees few shapes.
_BUCKET: Final = 16


class PrefixTree:
    """The prefixes of some texts, a node each, and the steps from a node to a token that follows it.

    Node 0 is the start, and every text ends in a step to the end, which is no node.
    """

    def __init__(self, sos: int, eos: int) -> None:
        """No text yet; `sos` stands at the start, `eos` is the end."""
        self._eos = eos
        self._tokens = [sos]
        self._parents = [0]
        self._children: dict[tuple[int, int], int] = {}
        self._steps: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        """How many nodes there are."""
        return len(self._tokens)

    def add(self, text: Sequence[int]) -> list[int]:
        """Take a text in; returns the numbers of its steps, that to its end last."""
        node, steps = 0, []
        for token in text:
            steps.append(self._step(node, token))
            node = self._child(node, token)
        return [*steps, self._step(node, self._eos)]

    def arrays(self) -> dict[str, Array]:
        """What a decoder's graph takes (artifacts/graphs.py); padding sees itself alone, and nobody sees it."""
        n_nodes, n_steps = _padded(len(self)), _padded(len(self._steps))
        tokens, depths = np.full(n_nodes, self._eos, np.int64), np.zeros(n_nodes, np.int64)
        tokens[: len(self)] = self._tokens
        seen = np.eye(n_nodes, dtype=np.float32)
        for node in range(1, len(self)):  # a parent stands before its children
            parent = self._parents[node]
            seen[node] += seen[parent]
            depths[node] = depths[parent] + 1
        steps = np.full((n_steps, 2), (0, self._eos), np.int64)
        steps[: len(self._steps)] = list(self._steps)
        return {"tokens": tokens, "depths": depths, "seen": seen, "steps": steps}

    def _step(self, node: int, token: int) -> int:
        return self._steps.setdefault((node, token), len(self._steps))

    def _child(self, node: int, token: int) -> int:
        child = self._children.setdefault((node, token), len(self))
        if child == len(self):
            self._tokens.append(token)
            self._parents.append(node)
        return child


def _padded(count: int) -> int:
    return -(-count // _BUCKET) * _BUCKET
