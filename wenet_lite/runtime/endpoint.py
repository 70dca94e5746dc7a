"""Where an utterance ends in a stream: three rules, as Kaldi and sherpa have them."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Endpointing:
    """An utterance ends where one of three rules holds. Silence is what follows the last token of the best hypothesis.

    Attributes:
        rule1_silence_s: seconds of silence that end an utterance without a word; it has no transcript.
        rule2_silence_s: seconds of silence that end an utterance with words.
        rule3_utterance_s: seconds after which an utterance is cut, in the longest silence of its second half; what
            comes after the cut belongs to the next one.
    """

    rule1_silence_s: float = 2.4
    rule2_silence_s: float = 1.2
    rule3_utterance_s: float = 20.0

    def __post_init__(self) -> None:
        if not min(self.rule1_silence_s, self.rule2_silence_s) > 0.0:
            raise ValueError("seconds of silence must be above 0")
        if not 1.0 <= self.rule3_utterance_s < math.inf:
            raise ValueError("rule3_utterance_s must be at least 1")

    def silence_ends(self, silence_s: float, *, has_words: bool) -> bool:
        """Whether rule 1 or 2 holds after so much silence."""
        return silence_s >= (self.rule2_silence_s if has_words else self.rule1_silence_s)


NO_ENDPOINTS = Endpointing(math.inf, math.inf, 40.0)
"""A stream is one utterance; only to bound memory it is cut after the longest that training takes unless told
otherwise (`BatchConfig.max_frames_per_utterance`)."""
