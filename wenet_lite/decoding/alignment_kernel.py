"""CTC forced alignment of one utterance, compiled for a CPU by numba."""

from __future__ import annotations

import numpy as np

from wenet_lite.decoding.compilation import compiled


@compiled
def best_path(log_probs: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """The most probable path through the states blank, token, blank, ..., token, blank.

    The same sums in the same order as in tensors, so that both choose the same path.

    Args:
        log_probs: (frames, vocab) float32 log posteriors.
        labels: (states,) int64 label of each state.
    Returns:
        (frames,) state in each frame, and the log probability of the path, -inf where there is none.
    """
    frames, states = len(log_probs), len(labels)
    scores = np.full(states, -np.inf, np.float32)
    scores[0] = 0.0  # before the first frame: moves by 0 and 1 reach the two states that may begin
    moves = np.zeros((frames, states), np.uint8)
    tokens = labels[1::2]
    emissions = np.empty(len(tokens), np.float32)
    for frame in range(frames):
        blank = log_probs[frame, labels[0]]
        for i in range(len(tokens)):  # by themselves: these reads are far apart, and here none waits for another
            emissions[i] = log_probs[frame, tokens[i]]
        # Only the states that a path can have reached, and from which it can reach the end.
        first, end = max(states - 2 * (frames - frame), 0), min(2 * frame + 2, states)
        for state in range(end - 1, first - 1, -1):  # downwards, so that those to the left are still the frame before's
            best, move = scores[state], 0
            if state >= 1 and scores[state - 1] > best:
                best, move = scores[state - 1], 1
            # A blank may be left out between two tokens that differ.
            if state >= 3 and state % 2 == 1 and labels[state] != labels[state - 2] and scores[state - 2] > best:
                best, move = scores[state - 2], 2
            scores[state] = best + (emissions[state // 2] if state % 2 == 1 else blank)
            moves[frame, state] = move
    state = states - 1
    if states >= 2 and scores[state - 1] >= scores[state]:
        state -= 1
    score = scores[state]
    path = np.empty(frames, np.int64)
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state -= moves[frame, state]
    return path, score
