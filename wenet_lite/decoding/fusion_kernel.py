"""What hotwords and a language model add to a prefix, compiled for a CPU by numba."""

from __future__ import annotations

import numpy as np
from numba import njit

from wenet_lite.decoding.fusion import FusionTables


@njit(cache=True)
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


@njit(cache=True)
def hotword_step(tables: FusionTables, state: int, token: int) -> tuple[int, float]:
    """The hotwords' next state, and what the token earns or loses."""
    earned = tables.hotword_credits[state] if tables.at_boundary and tables.starts_word[token] else 0.0
    following = 0
    if tables.in_hotwords[token]:
        node = state
        child = find(tables.hotword_keys, node * len(tables.starts_word) + token)
        while child < 0 and node > 0:
            node = tables.hotword_suffixes[node]
            child = find(tables.hotword_keys, node * len(tables.starts_word) + token)
        following = child + 1
    if not tables.at_boundary:
        earned += tables.hotword_credits[following]
    return following, earned + tables.hotword_potentials[following] - tables.hotword_potentials[state]


@njit(cache=True)
def hotword_end(tables: FusionTables, state: int) -> float:
    """What the end of the text earns: a phrase under way has earned nothing."""
    return (tables.hotword_credits[state] if tables.at_boundary else 0.0) - tables.hotword_potentials[state]


@njit(cache=True)
def lm_step(tables: FusionTables, state: int, word: int) -> tuple[int, float]:
    """The language model's next state, and log p(word | state)."""
    passed = 0.0
    while state > 0:
        child = find(tables.lm_keys, state * tables.num_words + word)
        if child >= 0:
            return child + 1, passed + tables.lm_log_probs[child + 1]
        passed += tables.lm_backoffs[state]
        state = tables.lm_suffixes[state]
    return word + 1, passed + tables.lm_log_probs[word + 1]


@njit(cache=True)
def word_end(tables: FusionTables, state: int, word: int) -> tuple[int, float]:
    """The language model's state after the word with this hash, and what its end earns; no word earns nothing."""
    if word == 0 or tables.num_words == 0:
        return state, 0.0
    place = find(tables.word_digests, word)
    following, log_prob = lm_step(tables, state, tables.word_ids[place] if place >= 0 else tables.unknown_word)
    return following, tables.lm_weight * log_prob + tables.word_bonus


@njit(cache=True)
def text_end(tables: FusionTables, state: int) -> float:
    """What the end of the text earns after the language model's state."""
    return tables.lm_weight * lm_step(tables, state, tables.end_of_text)[1] if tables.num_words else 0.0


@njit(cache=True)
def longer_word(tables: FusionTables, word: int, token: int) -> int:
    """Hash of the word under way with a token after it, or of the word that the token begins."""
    return (
        tables.unit_digests[token]
        if tables.starts_word[token]
        else (word * tables.unit_factors[token] + tables.unit_digests[token])
    )
