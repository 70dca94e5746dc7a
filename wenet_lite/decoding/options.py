"""What a search is asked for, and what it answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from wenet_lite.decoding.hotwords import DEFAULT_SCORE

if TYPE_CHECKING:
    from wenet_lite.decoding.alignment import TokenSpan

DecodingMode = Literal[
    "ctc_greedy_search", "ctc_prefix_beam_search", "attention", "attention_rescoring", "joint_ctc_attention"
]
DECODING_MODES: tuple[DecodingMode, ...] = get_args(DecodingMode)


@dataclass(frozen=True)
class DecodingOptions:
    """Attributes:
    beam_size: hypotheses kept in each search.
    ctc_weight: share of the CTC score in attention rescoring: attention + ctc_weight * CTC.
    reverse_weight: share of the right-to-left decoder in rescoring; null: as in the model's training.
    length_penalty: searches of the attention decoder divide a score by length ** length_penalty.
    joint_ctc_weight: share of the CTC score in the joint search: (1 - weight) * attention + weight * CTC.
    lm_weight: of a language model's log probability, natural log, in all searches but the greedy one.
    word_bonus: added there for each word.
    hotword_score: earned by each unit of a hotword that has no score of its own, natural log.
    blank_penalty: taken from the logit of the blank at each frame: fewer deletions, more insertions.
    """

    beam_size: int = 10
    ctc_weight: float = 0.5
    length_penalty: float = 0.0
    reverse_weight: float | None = None
    joint_ctc_weight: float = 0.3
    lm_weight: float = 0.5
    word_bonus: float = 0.0
    hotword_score: float = DEFAULT_SCORE
    blank_penalty: float = 0.0

    def __post_init__(self) -> None:
        if self.reverse_weight is not None and not 0.0 <= self.reverse_weight <= 1.0:
            raise ValueError("reverse_weight must lie between 0 and 1")
        weights = (self.ctc_weight, self.length_penalty, self.word_bonus, self.blank_penalty)
        if not all(map(math.isfinite, weights)):
            raise ValueError("weights, bonuses and penalties must be numbers")
        if not 0.0 < self.joint_ctc_weight < 1.0:
            raise ValueError("joint_ctc_weight must lie between 0 and 1")
        if not (0.0 <= self.lm_weight < math.inf and 0.0 <= self.hotword_score < math.inf):
            raise ValueError("lm_weight and hotword_score cannot be negative")
        if self.beam_size < 1:
            raise ValueError("beam_size must be at least 1")


@dataclass(frozen=True)
class Hypothesis:
    """One reading of an utterance.

    Attributes:
        tokens: unit ids, without start and end symbol.
        score: natural log; its meaning is the search's.
        times: encoder frame of each token's CTC peak; none where the search has no alignment.
        extra: the part of `score` that hotwords and a language model have added.
        spans: where the audio has each token, by forced alignment, None where that fails; empty unless asked for.
    """

    tokens: tuple[int, ...]
    score: float
    times: tuple[int, ...] = ()
    extra: float = 0.0
    spans: tuple[TokenSpan | None, ...] = ()
