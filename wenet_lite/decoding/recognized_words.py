"""The words of a recognised utterance: their times, and the evidence for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from wenet_lite.decoding.calibration import Calibration
from wenet_lite.decoding.confidence import Evidence, nbest_shares, word_evidence
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.decoding.words import UntimedWord, Word, WordSpan, WordTiming, spelled_words, timed_words


@dataclass(frozen=True)
class RecognizedWord:
    """A word with times, as the part files keep it.

    Attributes:
        word: with the raw confidence.
        evidence: what the confidence is made of.
    """

    word: Word
    evidence: Evidence

    def judged(self, calibration: Calibration | None) -> Word:
        """The word with a calibrated confidence, or as it is."""
        return replace(self.word, confidence=calibration(self.evidence)) if calibration else self.word


def recognized_words(
    nbest: Sequence[Hypothesis], units: Sequence[str], frame_ms: int, duration_s: float, timing: WordTiming
) -> list[RecognizedWord | UntimedWord]:
    """Words of the best hypothesis.

    Args:
        nbest: of one utterance, best first; the best has spans. A single one has no n-best share.
        units: text of each id.
        frame_ms: milliseconds from one encoder frame to the next.
        duration_s: seconds of audio.
        timing: lag and tail.
    Returns:
        all of them, in order; one with a token that could not be aligned has no times.
    """
    texts = [spelled_words(hyp.tokens, units) for hyp in nbest]
    spans = [[nbest[0].spans[i] for i in word.positions] for word in texts[0]]
    placed = {
        i: WordSpan(word.text, tuple(span for span in tokens if span is not None))
        for i, (word, tokens) in enumerate(zip(texts[0], spans))
        if None not in tokens
    }
    shares = None
    if len(nbest) > 1:
        all_shares = nbest_shares([[word.text for word in words] for words in texts], [hyp.score for hyp in nbest])
        shares = [all_shares[i] for i in placed]
    evidence = word_evidence(list(placed.values()), shares)
    confidences = [each.raw_confidence for each in evidence]
    timed = timed_words(list(placed.values()), confidences, frame_ms, duration_s, timing)
    words: list[RecognizedWord | UntimedWord] = [UntimedWord(word.text) for word in texts[0]]
    for i, word, of_word in zip(placed, timed, evidence):
        words[i] = RecognizedWord(word, of_word)
    return words


def word_from_tree(tree: dict[str, Any]) -> RecognizedWord | UntimedWord:
    """What `asdict` made a tree of."""
    if "evidence" not in tree:
        return UntimedWord(**tree)
    return RecognizedWord(Word(**tree["word"]), Evidence(**tree["evidence"]))
