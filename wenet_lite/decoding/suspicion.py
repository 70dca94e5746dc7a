"""Transcripts that do not fit their audio: ranked by how far the alignment lies below the best path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from wenet_lite.decoding.alignment import Alignment
from wenet_lite.decoding.words import WordSpan

_LEAST_SCORE = 0.5
_DEVIATIONS = 4.0
_MAD_OF_A_NORMAL = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""


@dataclass(frozen=True)
class Suspicion:
    """Attributes:
    key: utterance id.
    score: nats a unit by which the best path is more probable than the transcript's; 0 where they are one.
    reason: where the transcript fits worst, and what is heard in the utterance.
    """

    key: str
    score: float
    reason: str


def gap_per_frame(alignment: Alignment, log_probs: Tensor) -> np.ndarray:
    """(frames,) nats from the alignment up to the best unit.

    Args:
        alignment: of the transcript.
        log_probs: (frames, vocab) log posteriors of the utterance.
    """
    best = log_probs.float().max(dim=1).values.cpu().numpy()
    return best - np.array(alignment.frame_log_probs, dtype=np.float32)


def suspicion(key: str, gap: np.ndarray, words: Sequence[WordSpan], heard: str) -> Suspicion:
    """Judge one transcript.

    Args:
        key: utterance id.
        gap: (frames,) what `gap_per_frame` says.
        words: of the alignment.
        heard: text of the best path.
    """
    num_units = sum(len(word.tokens) for word in words)
    score = float(gap.sum()) / max(num_units, 1)
    if not words:
        return Suspicion(key, score, f"has no words; heard: {heard or 'nothing'}")
    worst = max(words, key=lambda word: gap[word.tokens[0].start : word.tokens[-1].end].sum() / len(word.tokens))
    return Suspicion(key, score, f"fits worst at '{worst.text}'; heard: {heard or 'nothing'}")


def ranked(suspicions: Sequence[Suspicion]) -> list[Suspicion]:
    """The most suspicious first."""
    return sorted(suspicions, key=lambda each: (-each.score, each.key))


def suspicious_score(scores: Sequence[float]) -> float:
    """Score from which a transcript is suspicious: 4 robust standard deviations above the median, at least 0.5.

    Args:
        scores: of all utterances of a list; most of them should have right transcripts.
    """
    if not len(scores):
        return _LEAST_SCORE
    median = float(np.median(scores))
    deviation = _MAD_OF_A_NORMAL * float(np.median(np.abs(np.asarray(scores) - median)))
    return max(median + _DEVIATIONS * deviation, _LEAST_SCORE)
