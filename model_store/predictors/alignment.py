"""Where in the utterance each token of a text is, and how sure the model is of it."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from model_store.predictors.compiled import compiled

Array = npt.NDArray[Any]

_NEVER = -np.inf
_FLOATS = types.Array(types.float32, 2, "C", readonly=True)
_NUMBERS = types.Array(types.int32, 2, "C", readonly=True)
_BLANKS = types.Array(types.float32, 1, "C", readonly=True)
_TOKENS = types.Array(types.int32, 1, "C", readonly=True)


def peaks(tokens: Array, log_probs: Array, ids: Array, blank_log_probs: Array) -> tuple[Array, Array]:
    """The frame (L,) int32 in which each token is most probable, and its log-probability there (L,) float64.

    Looked for inside the token's stretch of the single most probable alignment (Viterbi; the CTC lattice of Graves
    et al. 2006, section 4.1). tokens: (L,) int32; log_probs: (T, K), best first; ids: (T, K); blank_log_probs: (T,).
    A token that is not among a frame's K best gets the probability of the K-th, which it cannot exceed.
    """
    found: tuple[Array, Array] = _peaks(
        np.ascontiguousarray(tokens, np.int32),
        np.ascontiguousarray(log_probs),
        np.ascontiguousarray(ids),
        np.ascontiguousarray(blank_log_probs),
    )
    return found


@compiled(types.float64[:, ::1](_TOKENS, _FLOATS, _NUMBERS))
def _emissions(tokens: Array, log_probs: Array, ids: Array) -> Array:
    """Log-probability of each token in each frame, (T, L)."""
    n_frames, n_units = log_probs.shape
    emitted = np.empty((n_frames, len(tokens)))
    for t in range(n_frames):
        for at in range(len(tokens)):
            emitted[t, at] = log_probs[t, n_units - 1]
            for k in range(n_units):
                if ids[t, k] == tokens[at]:
                    emitted[t, at] = log_probs[t, k]
                    break
    return emitted


@compiled(types.int32[::1](_TOKENS, types.float64[:, ::1], _BLANKS))
def _best_states(tokens: Array, emitted: Array, blank_log_probs: Array) -> Array:
    """The state of each frame on the best way through: 2 i + 1 in token i, even in the blanks around them."""
    n_frames, n_states = len(blank_log_probs), 2 * len(tokens) + 1
    came_from = np.zeros((n_frames, n_states), np.int8)
    score = np.full(n_states, _NEVER)
    score[0] = blank_log_probs[0]
    if n_states > 1:
        score[1] = emitted[0, 0]
    for t in range(1, n_frames):
        # Downwards, so that what a state reads is still that of the frame before.
        for state in range(n_states - 1, -1, -1):
            best, step = score[state], 0
            if state >= 1 and score[state - 1] > best:
                best, step = score[state - 1], 1
            may_skip = state >= 3 and state % 2 == 1 and tokens[state // 2] != tokens[state // 2 - 1]
            if may_skip and score[state - 2] > best:
                best, step = score[state - 2], 2
            came_from[t, state] = step
            score[state] = best + (emitted[t, state // 2] if state % 2 else blank_log_probs[t])
    states = np.empty(n_frames, np.int32)
    states[-1] = n_states - 1
    if n_states > 1 and score[n_states - 2] > score[n_states - 1]:
        states[-1] = n_states - 2
    for t in range(n_frames - 1, 0, -1):
        states[t - 1] = states[t] - came_from[t, states[t]]
    return states


@compiled(types.Tuple((types.int32[::1], types.float64[::1]))(_TOKENS, _FLOATS, _NUMBERS, _BLANKS))
def _peaks(tokens: Array, log_probs: Array, ids: Array, blank_log_probs: Array) -> tuple[Array, Array]:
    frames = np.zeros(len(tokens), np.int32)
    heights = np.full(len(tokens), _NEVER)
    if len(tokens) == 0:
        return frames, heights
    emitted = _emissions(tokens, log_probs, ids)
    states = _best_states(tokens, emitted, blank_log_probs)
    for t in range(len(states)):
        if states[t] % 2 == 1:
            at = states[t] // 2
            if emitted[t, at] > heights[at]:
                frames[at], heights[at] = t, emitted[t, at]
    return frames, heights
