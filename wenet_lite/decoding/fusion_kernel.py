"""What hotwords and a language model add to a prefix, compiled for a CPU by numba.

Functions that are called for every candidate take only the arrays that they need: to hand on all of them would cost
more than the work.
"""

from __future__ import annotations

import numpy as np

from wenet_lite.decoding.compilation import compiled
from wenet_lite.decoding.fusion import FusionTables, WordTables


@compiled
def find(keys: np.ndarray, key: int) -> int:
    """Place of a key among ascending ones, -1 where it is not there."""
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < len(keys) and keys[low] == key else -1


@compiled
def hotword_next(nodes: np.ndarray, begins: np.ndarray, state: int, token: int) -> int:
    """The hotwords' next state."""
    while state > 0:
        for child in range(nodes[state].first_child, nodes[state].end_child):
            if nodes[child].token == token:
                return child
        state = nodes[state].suffix
    return begins[token]


@compiled
def hotword_gain(nodes: np.ndarray, at_boundary: bool, starts_word: bool, state: int, following: int) -> float:
    """What a token earns or loses that leads from a state to the following one."""
    if not at_boundary:
        kept = nodes[following].credit
    else:
        kept = nodes[state].credit if starts_word else 0.0
    return kept + nodes[following].potential - nodes[state].potential


@compiled
def hotword_end(nodes: np.ndarray, at_boundary: bool, state: int) -> float:
    """What the end of the text earns: a phrase under way has earned nothing."""
    return (nodes[state].credit if at_boundary else 0.0) - nodes[state].potential


@compiled
def lm_step(words: WordTables, state: int, word: int) -> tuple[int, float]:
    """The language model's next state, and log p(word | state)."""
    passed = 0.0
    while state > 0:
        child = find(words.keys, state * words.size + word)
        if child >= 0:
            return child + 1, passed + words.log_probs[child + 1]
        passed += words.backoffs[state]
        state = words.suffixes[state]
    return word + 1, passed + words.log_probs[word + 1]


@compiled
def word_end(words: WordTables, state: int, word: int) -> tuple[int, float]:
    """The language model's state after the word with this hash, and what its end earns; no word earns nothing."""
    if word == 0 or words.size == 0:
        return state, 0.0
    place = find(words.digests, word)
    following, log_prob = lm_step(words, state, words.ids[place] if place >= 0 else words.unknown)
    return following, words.weight * log_prob + words.bonus


@compiled
def text_end(tables: FusionTables, context: int, lm_state: int) -> float:
    """What the end of the text earns."""
    earned = hotword_end(tables.nodes, tables.at_boundary, context)
    if tables.words.size:
        earned += tables.words.weight * lm_step(tables.words, lm_state, tables.words.end_of_text)[1]
    return earned
