"""CTC search: greedy, and prefix beam (Hannun et al. 2014, arXiv 1408.2873, algorithm 1).

As WeNet and PaddleSpeech run it (wenet/models/transformer/search.py; paddlespeech/s2t/models/u2/u2.py): a frame offers
its `beam_size` best units and no others, so a prefix that is to outlive a frame unchanged needs the blank, or its own
last unit, among them. Everything takes, per frame, K units and their log-probabilities, best first; unit 0 is blank.
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
# Columns of the tree, one row per prefix that was ever in the beam: where it hangs, and its place in the beam or -1.
_PARENT, _UNIT, _FIRST_CHILD, _NEXT_SIBLING, _DEPTH, _PLACE = range(6)
# Columns of a candidate: the prefix that it comes from, and the unit that it adds, or -1.
_FROM, _ADDS = range(2)
# Columns of probabilities, natural logs: of the alignments that end in a blank, and of those that end in a unit.
_IN_BLANK, _IN_UNIT = range(2)

_FLOATS = types.Array(types.float32, 2, "C", readonly=True)
_NUMBERS = types.Array(types.int32, 2, "C", readonly=True)
_FRAME_FLOATS = types.Array(types.float32, 1, "C", readonly=True)
_FRAME_NUMBERS = types.Array(types.int32, 1, "C", readonly=True)
_ROWS, _SCORES, _NODES, _ORDER = types.int32[:, ::1], types.float64[:, ::1], types.int32[::1], types.int64[::1]


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

    log_probs: (T, K) float32, natural log, best first; ids: (T, K) int32, each unit once in a frame. Of the K the first
    `beam_size` are looked at. There are fewer texts than `beam_size` where so many have no alignment at all.
    """
    offered = np.ascontiguousarray(log_probs[:, :beam_size]), np.ascontiguousarray(ids[:, :beam_size])
    tokens, lengths, scores = _prefix_beam(*offered, beam_size)
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


@compiled(types.int32(_ROWS, types.int32, types.int32))
def _child(tree: Array, node: int, unit: int) -> int:
    """The node for the prefix of `node` and then `unit`; -1 when it has not been made."""
    child: int = tree[node, _FIRST_CHILD]
    while child >= 0 and tree[child, _UNIT] != unit:
        child = tree[child, _NEXT_SIBLING]
    return child


@compiled(types.int64(_ROWS, _NODES, _SCORES, _FRAME_FLOATS, _FRAME_NUMBERS, _ROWS, _SCORES))
def _extend(
    tree: Array, beam: Array, beam_scores: Array, log_probs: Array, ids: Array, candidates: Array, scores: Array
) -> int:
    """Fill in the candidates that one frame makes of the beam, and return how many there are.

    The first are its prefixes as they are, with all the alignments that lead back to them; the others are
    longer by one unit, and none of these is in the beam already.
    """
    for i in range(len(beam)):
        candidates[i, _FROM], candidates[i, _ADDS] = beam[i], -1
        scores[i, _IN_BLANK] = scores[i, _IN_UNIT] = _NEVER
    n_candidates = len(beam)
    for k in range(len(ids)):
        unit, log_prob = ids[k], log_probs[k]
        for i in range(len(beam)):
            either = _log_add(beam_scores[i, _IN_BLANK], beam_scores[i, _IN_UNIT])
            if unit == 0:
                scores[i, _IN_BLANK] = either + log_prob
                continue
            score = either + log_prob
            if unit == tree[beam[i], _UNIT]:
                # Without a blank between, it is the same unit heard on.
                scores[i, _IN_UNIT] = _log_add(scores[i, _IN_UNIT], beam_scores[i, _IN_UNIT] + log_prob)
                score = beam_scores[i, _IN_BLANK] + log_prob
            if score == _NEVER:
                continue
            child = _child(tree, beam[i], unit)
            if child >= 0 and tree[child, _PLACE] >= 0:
                place = tree[child, _PLACE]
                scores[place, _IN_UNIT] = _log_add(scores[place, _IN_UNIT], score)
            else:
                candidates[n_candidates, _FROM], candidates[n_candidates, _ADDS] = beam[i], unit
                scores[n_candidates, _IN_BLANK], scores[n_candidates, _IN_UNIT] = _NEVER, score
                n_candidates += 1
    return n_candidates


@compiled(_ORDER(_SCORES, types.int64))
def _best(scores: Array, beam_size: int) -> Array:
    """The numbers of the `beam_size` best candidates, best first, of equals the first; impossible ones left out."""
    costs = np.empty(len(scores))
    for c in range(len(scores)):
        costs[c] = -_log_add(scores[c, _IN_BLANK], scores[c, _IN_UNIT])
    order = np.argsort(costs, kind="mergesort")[:beam_size]
    n_possible = len(order)
    while n_possible > 0 and costs[order[n_possible - 1]] == np.inf:
        n_possible -= 1
    return order[:n_possible]


@compiled(types.int32(_ROWS, types.int32, types.int32, types.int32))
def _node(tree: Array, n_nodes: int, origin: int, adds: int) -> int:
    """The node of a candidate; it is row `n_nodes` of the tree when it had to be made."""
    if adds < 0:
        return origin
    found = _child(tree, origin, adds)
    if found >= 0:
        return found
    tree[n_nodes, _PARENT], tree[n_nodes, _UNIT], tree[n_nodes, _FIRST_CHILD] = origin, adds, -1
    tree[n_nodes, _DEPTH] = tree[origin, _DEPTH] + 1
    tree[n_nodes, _NEXT_SIBLING] = tree[origin, _FIRST_CHILD]
    tree[origin, _FIRST_CHILD] = n_nodes
    return n_nodes


@compiled(types.Tuple((_ROWS, _NODES, types.float64[::1]))(_ROWS, _NODES, _SCORES))
def _read_out(tree: Array, beam: Array, beam_scores: Array) -> tuple[Array, Array, Array]:
    """The prefixes of the beam as rows of units, their lengths and their scores."""
    lengths, scores = np.empty(len(beam), np.int32), np.empty(len(beam), np.float64)
    for i in range(len(beam)):
        lengths[i] = tree[beam[i], _DEPTH]
        scores[i] = _log_add(beam_scores[i, _IN_BLANK], beam_scores[i, _IN_UNIT])
    units = np.zeros((len(beam), lengths.max()), np.int32)
    for i in range(len(beam)):
        node = beam[i]
        for position in range(lengths[i] - 1, -1, -1):
            units[i, position] = tree[node, _UNIT]
            node = tree[node, _PARENT]
    return units, lengths, scores


@compiled(types.Tuple((_ROWS, _NODES, types.float64[::1]))(_FLOATS, _NUMBERS, types.int64))
def _prefix_beam(log_probs: Array, ids: Array, beam_size: int) -> tuple[Array, Array, Array]:
    """Prefixes are nodes of a tree, made once and found again, so that a prefix is never in the beam twice."""
    n_frames, n_units = log_probs.shape
    tree = np.empty((1 + n_frames * beam_size, 6), np.int32)
    tree[0], n_nodes = -1, 1
    tree[0, _DEPTH] = tree[0, _PLACE] = 0

    beam, beam_scores = np.zeros(beam_size, np.int32), np.zeros((beam_size, 2))
    beam_scores[0, _IN_UNIT], n_beam = _NEVER, 1

    candidates = np.empty((beam_size * (n_units + 1), 2), np.int32)
    scores = np.empty((beam_size * (n_units + 1), 2))
    for t in range(n_frames):
        n = _extend(tree, beam[:n_beam], beam_scores[:n_beam], log_probs[t], ids[t], candidates, scores)
        order = _best(scores[:n], beam_size)
        for node in beam[:n_beam]:
            tree[node, _PLACE] = -1
        for place, c in enumerate(order):
            node = _node(tree, n_nodes, candidates[c, _FROM], candidates[c, _ADDS])
            n_nodes = max(n_nodes, node + 1)
            beam[place], tree[node, _PLACE] = node, place
            beam_scores[place] = scores[c]
        n_beam = len(order)
    return _read_out(tree, beam[:n_beam], beam_scores[:n_beam])
