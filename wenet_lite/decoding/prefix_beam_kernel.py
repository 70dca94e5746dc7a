"""CTC prefix beam search, compiled for a CPU by numba.

Paths of the same prefix meet in two ways only: one stays (a blank, or the last token again), or the prefix's parent is
extended by the prefix's last token. So at each frame every prefix of the beam stays or goes, and every other extension
is new: nothing has to be looked up or merged. Extensions that cannot reach the beam are not tried; where blank is sure
of itself, as in most frames of a trained model, that is all of them.

Compiled code is kept by the date of its own file: what it calls or takes as constant must stand here too. Functions
that are called for every candidate take only the arrays that they need: to hand on all of them would cost more than the
work.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from wenet_lite.decoding.compilation import compiled
from wenet_lite.decoding.fusion import PRIME, FusionTables, WordTables

_NEVER = -math.inf
_NONE = -1
_HASH_FACTOR = 1_099_511_628_211
assert _HASH_FACTOR == PRIME
assert FusionTables._fields == (
    "active",
    "most_gain",
    "at_boundary",
    "units",
    "nodes",
    "begins",
    "hotword_start",
    "words",
)
assert WordTables._fields == (
    "digests", "ids", "unknown", "end_of_text", "start", "size", "keys", "log_probs", "backoffs", "suffixes", "weight",
    "bonus",
)  # fmt: skip

_NUMBERS = "blank token total best_blank best_token extra end_gain"
_INDICES = "times_blank times_token tokens last digest parent_digest context lm_state word end_state"
PREFIX = np.dtype([(n, np.float64) for n in _NUMBERS.split()] + [(n, np.int64) for n in _INDICES.split()])
"""A prefix of the beam:
blank, token, total: log probability of all paths that end in a blank, in the last token, and in either.
best_blank, best_token: of the best such path.
times_blank, times_token: frames of the prefix's tokens on that path, a chain.
tokens, last: the prefix, a chain, and its last token; -1 where it is empty.
digest, parent_digest: hashes of the prefix, and of it without its last token.
extra: what hotwords and language model have added to its score.
context, lm_state: states of the hotwords, and of the language model before the word under way.
word: hash of that word; 0 where there is none.
end_state, end_gain: the language model's state after that word, and what its end will add.
"""

_CANDIDATE = np.dtype(
    [(n, np.float64) for n in ("score", "value", "gain")] + [(n, np.int64) for n in ("source", "token", "context")]
)
"""A prefix of the next beam: number `source` of this one, extended by `token` or, with -1, not."""

Records: TypeAlias = Any
"""One of the records above, or an array of them: numpy's types do not know their fields."""

LINK = np.dtype([("before", np.int64), ("value", np.int64)])
"""Entry of linked lists that share their beginnings: `value` after the list that ends in entry `before` (-1: none)."""


@compiled
def advance(
    beam: Records,
    values: np.ndarray,
    tokens: np.ndarray,
    frame: int,
    blank_id: int,
    beam_size: int,
    links: Records,
    used: int,
    tables: FusionTables,
) -> tuple[Records, int]:
    """Take frames.

    Args:
        beam: PREFIX, best first.
        values: (frames, tried) log posteriors of the tokens that are tried at each frame, descending.
        tokens: (frames, tried) these tokens.
        frame: number of the first frame.
        blank_id: index of the CTC blank.
        beam_size: prefixes kept.
        links: LINK, with room for three more a frame and prefix.
        used: links in use.
        tables: hotwords and language model.
    Returns:
        the new beam, and the number of links in use.
    """
    units, nodes, begins, at_boundary = tables.units, tables.nodes, tables.begins, tables.at_boundary
    has_words = tables.words.size > 0
    candidates, stays = np.empty(beam_size, _CANDIDATE), np.empty(beam_size, PREFIX)
    order, parents = np.empty(beam_size, np.int64), np.empty(beam_size, np.int64)
    for t in range(len(values)):
        kept, most_due = 0, -math.inf
        for i in range(len(beam)):
            parents[i] = _parent(beam, i)
            due = beam[i].end_gain
            if at_boundary:
                due += nodes[beam[i].context].credit
            most_due = max(most_due, due)
            used = _stay(beam, i, parents[i], values[t], tokens[t], frame + t, blank_id, links, used, stays)
            if stays[i].total > _NEVER:
                kept = _insert(candidates, order, kept, stays[i].total + stays[i].extra, i, _NONE, 0.0, 0.0, 0)
        for r in range(values.shape[1]):
            token, value = tokens[t, r], values[t, r]
            most_gain = 0.0
            if tables.active:
                most_gain += tables.most_gain if units[token].in_hotwords else 0.0
                most_gain += most_due if units[token].starts_word else 0.0
            for i in range(len(beam) if token != blank_id else 0):
                bound = beam[i].total + value + beam[i].extra + most_gain
                if kept == beam_size and bound <= candidates[order[kept - 1]].score:
                    break  # prefixes stand in descending order
                acoustic = (beam[i].blank if token == beam[i].last else beam[i].total) + value
                gain, context = 0.0, 0
                if tables.active:
                    starts_word = units[token].starts_word
                    context = hotword_next(nodes, begins, beam[i].context, token)
                    gain = hotword_gain(nodes, at_boundary, starts_word, beam[i].context, context)
                    gain += beam[i].end_gain if starts_word else 0.0
                score = acoustic + beam[i].extra + gain
                reaches = score > (candidates[order[kept - 1]].score if kept == beam_size else _NEVER)
                if reaches and not _is_in_beam(beam, parents, i, token):
                    kept = _insert(candidates, order, kept, score, i, token, value, gain, context)
        following = np.empty(kept, PREFIX)
        for k in range(kept):
            chosen = candidates[order[k]]
            following[k] = stays[chosen.source]
            if chosen.token != _NONE:
                used = _extend(following[k], beam[chosen.source], chosen, frame + t, links, used)
                if has_words:
                    _spell(following[k], beam[chosen.source], tables.units[chosen.token], tables.words)
        beam = following
    return beam, used


@compiled
def most_probable(log_probs: np.ndarray, tried: int) -> tuple[np.ndarray, np.ndarray]:
    """The tokens to try at each frame: several times as fast as torch's topk on a CPU.

    Args:
        log_probs: (frames, vocab).
        tried: tokens a frame.
    Returns:
        (frames, tried) log posteriors, float64, descending, and these tokens.
    """
    values = np.full((len(log_probs), tried), _NEVER)
    tokens = np.full((len(log_probs), tried), _NONE, np.int64)
    for t in range(len(log_probs)):
        row, best = log_probs[t], values[t]
        least = best[tried - 1]
        for token in range(len(row)):
            if row[token] > least:
                k = tried - 1
                while k > 0 and best[k - 1] < row[token]:
                    best[k], tokens[t, k] = best[k - 1], tokens[t, k - 1]
                    k -= 1
                best[k], tokens[t, k] = row[token], token
                least = best[tried - 1]
    return values, tokens


@compiled
def _log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    if a < b:
        a, b = b, a
    return a if b == _NEVER else a + math.log1p(math.exp(b - a))


@compiled
def _link(links: Records, used: int, before: int, value: int) -> int:
    links[used].before = before
    links[used].value = value
    return used + 1


@compiled
def _parent(beam: Records, i: int) -> int:
    """Place of the prefix without its last token, -1 where it is not in the beam."""
    for j in range(len(beam)):
        if beam[i].last >= 0 and beam[j].digest == beam[i].parent_digest:
            return j
    return _NONE


@compiled
def _is_in_beam(beam: Records, parents: np.ndarray, i: int, token: int) -> bool:
    """Whether prefix i extended by a token is in the beam, so that these paths are counted there."""
    found = False
    for j in range(len(beam)):
        found = found or (parents[j] == i and beam[j].last == token)
    return found


@compiled
def _stay(
    beam: Records,
    i: int,
    parent: int,
    values: np.ndarray,
    tokens: np.ndarray,
    frame: int,
    blank_id: int,
    links: Records,
    used: int,
    stays: Records,
) -> int:
    """Write prefix i as it is after a frame that does not extend it, but may extend its parent to it."""
    blank = repeat = _NEVER
    for r in range(len(tokens)):
        if tokens[r] == blank_id:
            blank = values[r]
        if tokens[r] == beam[i].last:
            repeat = values[r]
    stays[i] = beam[i]
    new, old = stays[i], beam[i]
    new.blank = old.total + blank
    new.best_blank = max(old.best_blank, old.best_token) + blank
    if old.best_blank <= old.best_token:
        new.times_blank = old.times_token
    came = came_best = _NEVER
    came_times = _NONE
    if parent >= 0:
        other = beam[parent]
        from_blank = other.last == old.last  # without a blank between them they were one token
        came = (other.blank if from_blank else other.total) + repeat
        from_blank = from_blank or other.best_blank > other.best_token
        came_best = (other.best_blank if from_blank else other.best_token) + repeat
        came_times = other.times_blank if from_blank else other.times_token
    stayed_best = old.best_token + repeat
    new.token = _log_add(old.token + repeat, came)
    new.best_token = max(came_best, stayed_best)
    if new.best_token > _NEVER:
        # As in WeNet: where the parent stands higher, the frame is its extension's even if to stay is more probable.
        if came_best > _NEVER and (parent < i or came_best > stayed_best):
            before = came_times
        else:
            before = links[old.times_token].before
        new.times_token = used
        used = _link(links, used, before, frame)
    new.total = _log_add(new.blank, new.token)
    return used


@compiled
def _insert(
    candidates: Records,
    order: np.ndarray,
    kept: int,
    score: float,
    source: int,
    token: int,
    value: float,
    gain: float,
    context: int,
) -> int:
    """Put a candidate into its place in the order, where it may push the last one out; how many there are now."""
    place = kept
    if kept == len(order):
        kept -= 1
        place = order[kept]
    k = kept
    while k > 0 and candidates[order[k - 1]].score < score:
        order[k] = order[k - 1]
        k -= 1
    order[k] = place
    new = candidates[place]
    new.score, new.source, new.token = score, source, token
    new.value, new.gain, new.context = value, gain, context
    return kept + 1


@compiled
def _extend(
    new: Records,
    old: Records,
    chosen: Records,
    frame: int,
    links: Records,
    used: int,
) -> int:
    """Write the prefix that a candidate extends."""
    token, value = chosen.token, chosen.value
    repeats = token == old.last
    from_blank = repeats or old.best_blank > old.best_token
    new.blank = new.best_blank = _NEVER
    new.token = new.total = (old.blank if repeats else old.total) + value
    new.best_token = (old.best_blank if from_blank else old.best_token) + value
    new.times_blank = _NONE
    new.times_token = used
    used = _link(links, used, old.times_blank if from_blank else old.times_token, frame)
    new.tokens = used
    used = _link(links, used, old.tokens, token)
    new.last = token
    new.parent_digest, new.digest = old.digest, old.digest * _HASH_FACTOR + token + 1
    new.extra, new.context = old.extra + chosen.gain, chosen.context
    return used


@compiled
def _spell(new: Records, old: Records, unit: Records, words: WordTables) -> None:
    """Write of a prefix that a unit extends what its word under way will earn."""
    new.word = old.word * unit.factor + unit.digest
    if unit.starts_word:
        new.lm_state, new.word = old.end_state, unit.digest
    new.end_state, new.end_gain = word_end(words, new.lm_state, new.word)


@compiled
def chain(links: Records, link: int) -> np.ndarray:
    """The values up to a link, first to last."""
    length, place = 0, link
    while place >= 0:
        place, length = links[place].before, length + 1
    values = np.empty(length, np.int64)
    while link >= 0:
        length -= 1
        values[length] = links[link].value
        link = links[link].before
    return values


@compiled
def final_extra(beam: Records, tables: FusionTables) -> np.ndarray:
    """What hotwords and language model have added to each prefix if the text ends here; all zero without them."""
    extra = beam["extra"].copy()
    for i in range(len(beam) if tables.active else 0):
        extra[i] += beam[i].end_gain + text_end(tables, beam[i].context, beam[i].end_state)
    return extra


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
