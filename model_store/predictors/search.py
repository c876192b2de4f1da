"""CTC search: greedy, and prefix beam (Hannun et al. 2014, arXiv 1408.2873, algorithm 1; wenet/transformer/search.py).

Compiled when the module is imported first, with explicit signatures, and kept on disk: no request waits for a
compiler. Runs without the GIL. Everything takes, per frame, K units and their log-probabilities; unit 0 is the blank.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from model_store.predictors.compiled import compiled

Array = npt.NDArray[Any]

_NEVER = -np.inf
_FLOATS = types.Array(types.float32, 2, "C", readonly=True)
_NUMBERS = types.Array(types.int32, 2, "C", readonly=True)
_I32, _F64 = types.int32[::1], types.float64[::1]
_FOUND = types.Tuple((types.int32[:, ::1], types.int32[::1], types.float64[::1]))


@dataclass(frozen=True, slots=True)
class Path:
    """A sequence of units without blanks, and the natural log of its probability."""

    tokens: tuple[int, ...]
    score: float


def greedy(log_probs: Array, ids: Array) -> Path:
    """The best unit of each frame, repetitions and blanks taken out; the score is that of this one alignment.

    log_probs: (T, K) float32, natural log, best first; ids: (T, K) int32.
    """
    best = ids[:, 0]
    is_new = np.ones(len(best), dtype=bool)
    is_new[1:] = best[1:] != best[:-1]
    return Path(tuple(best[is_new & (best != 0)].tolist()), float(log_probs[:, 0].sum(dtype=np.float64)))


def prefix_beam(log_probs: Array, ids: Array, beam_size: int) -> list[Path]:
    """The `beam_size` most probable texts, best first, each summed over its alignments that survived the beam.

    log_probs: (T, K) float32, natural log, K the units that may be chosen in a frame, each once; ids: (T, K) int32.
    """
    tokens, lengths, scores = _prefix_beam(np.ascontiguousarray(log_probs), np.ascontiguousarray(ids), beam_size)
    return [
        Path(tuple(row[:length].tolist()), float(score))
        for row, length, score in zip(tokens, lengths, scores, strict=True)
    ]


@compiled(types.float64(types.float64, types.float64))
def _log_add(a: float, b: float) -> float:
    if a == _NEVER:
        return b
    if b == _NEVER:
        return a
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))


@compiled(types.int32(types.int32, types.int32, types.int32[::1], types.int32[::1], types.int32[::1]))
def _child(node: int, token: int, first_child: Array, next_sibling: Array, last_token: Array) -> int:
    """The node for the prefix of `node` and then `token`; -1 when it has not been made."""
    child: int = first_child[node]
    while child >= 0 and last_token[child] != token:
        child = next_sibling[child]
    return child


@compiled(_FOUND(_I32, _F64, _F64, _I32, _I32, _I32))
def _read_out(
    node: Array, ends_blank: Array, ends_token: Array, parent: Array, last_token: Array, depth: Array
) -> tuple[Array, Array, Array]:
    """The prefixes of a beam as rows of tokens, their lengths and scores."""
    n_beam = len(node)
    lengths, scores = depth[node], np.empty(n_beam, np.float64)
    tokens = np.zeros((n_beam, lengths.max()), np.int32)
    for i in range(n_beam):
        scores[i] = _log_add(ends_blank[i], ends_token[i])
        at = node[i]
        for position in range(lengths[i] - 1, -1, -1):
            tokens[i, position] = last_token[at]
            at = parent[at]
    return tokens, lengths, scores


@compiled(_FOUND(_FLOATS, _NUMBERS, types.int64))
def _prefix_beam(log_probs: Array, ids: Array, beam_size: int) -> tuple[Array, Array, Array]:
    """Prefixes are nodes of a tree, made once and found again, so that a prefix is never in the beam twice.

    Each holds the probability of its alignments that end in a blank, and of those that end in its last token.
    """
    n_frames, n_units = log_probs.shape
    n_nodes_max = 1 + n_frames * beam_size
    parent = np.full(n_nodes_max, -1, np.int32)
    last_token = np.full(n_nodes_max, -1, np.int32)
    first_child = np.full(n_nodes_max, -1, np.int32)
    next_sibling = np.full(n_nodes_max, -1, np.int32)
    depth = np.zeros(n_nodes_max, np.int32)
    place = np.full(n_nodes_max, -1, np.int32)  # of a node in the beam
    n_nodes = 1

    n_candidates_max = beam_size * (n_units + 1)
    from_node = np.zeros(n_candidates_max, np.int32)
    with_token = np.zeros(n_candidates_max, np.int32)
    in_blank = np.zeros(n_candidates_max, np.float64)
    in_token = np.zeros(n_candidates_max, np.float64)
    total = np.zeros(n_candidates_max, np.float64)

    node = np.zeros(beam_size, np.int32)
    ends_blank = np.zeros(beam_size, np.float64)
    ends_token = np.full(beam_size, _NEVER)
    n_beam = 1

    for t in range(n_frames):
        # The first `n_beam` candidates are the prefixes of the beam as they are, the others are longer by one.
        for i in range(n_beam):
            place[node[i]] = i
            from_node[i], with_token[i] = node[i], -1
            in_blank[i] = in_token[i] = _NEVER
        n_candidates = n_beam
        for k in range(n_units):
            token, log_prob = ids[t, k], log_probs[t, k]
            for i in range(n_beam):
                either = _log_add(ends_blank[i], ends_token[i])
                if token == 0:
                    in_blank[i] = _log_add(in_blank[i], either + log_prob)
                    continue
                score = either + log_prob
                if token == last_token[node[i]]:
                    in_token[i] = _log_add(in_token[i], ends_token[i] + log_prob)
                    score = ends_blank[i] + log_prob  # a second one of the same needs a blank between
                if score == _NEVER:
                    continue
                child = _child(node[i], token, first_child, next_sibling, last_token)
                if child >= 0 and place[child] >= 0:
                    in_token[place[child]] = _log_add(in_token[place[child]], score)
                else:
                    from_node[n_candidates], with_token[n_candidates] = node[i], token
                    in_blank[n_candidates], in_token[n_candidates] = _NEVER, score
                    n_candidates += 1
        for i in range(n_beam):
            place[node[i]] = -1
        for c in range(n_candidates):
            total[c] = _log_add(in_blank[c], in_token[c])
        order = np.argsort(-total[:n_candidates], kind="mergesort")[:beam_size]
        n_beam = 0
        for c in order:
            if total[c] == _NEVER:
                break
            found = from_node[c]
            if with_token[c] >= 0:
                found = _child(from_node[c], with_token[c], first_child, next_sibling, last_token)
                if found < 0:
                    found = n_nodes
                    n_nodes += 1
                    parent[found], last_token[found] = from_node[c], with_token[c]
                    depth[found] = depth[from_node[c]] + 1
                    next_sibling[found] = first_child[from_node[c]]
                    first_child[from_node[c]] = found
            node[n_beam], ends_blank[n_beam], ends_token[n_beam] = found, in_blank[c], in_token[c]
            n_beam += 1

    return _read_out(node[:n_beam], ends_blank[:n_beam], ends_token[:n_beam], parent, last_token, depth)
