"""Words of tokens: their text, their times in seconds and a confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wenet_lite.text.ideographs import begins_with_ideograph, ends_with_ideograph
from wenet_lite.text.tokenizer import BLANK, SOS_EOS, WORD_START

if TYPE_CHECKING:
    from wenet_lite.decoding.alignment import TokenSpan

_SILENT = (BLANK, SOS_EOS)


@dataclass(frozen=True)
class Word:
    """Attributes:
    text: as the units spell it.
    start_s, end_s: seconds from the beginning of the utterance, whole milliseconds.
    confidence: between 0 and 1.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True)
class UntimedWord:
    """A word that no alignment has placed.

    Attributes:
        text: as the units spell it.
    """

    text: str


@dataclass(frozen=True)
class SpelledWord:
    """Attributes:
    text: as the units spell it.
    positions: of its tokens among those of the utterance; a unit `▁` that stands alone is no part of a word.
    """

    text: str
    positions: tuple[int, ...]


@dataclass(frozen=True)
class WordSpan:
    """A word's tokens and where they are heard.

    Attributes:
        text: as the units spell it.
        tokens: at least one; a unit `▁` that stands alone is no part of a word.
    """

    text: str
    tokens: tuple[TokenSpan, ...]


@dataclass(frozen=True)
class WordTiming:
    """How words lie around CTC's peaks, which come late and are shorter than what they stand for.

    Attributes:
        lag_ms: from where a sound begins to where the peak's frame begins.
        max_tail_frames: encoder frames by which a word outlasts its last token's run, unless the next word begins.
    """

    lag_ms: int = 100
    max_tail_frames: int = 1

    def __post_init__(self) -> None:
        if self.lag_ms < 0 or self.max_tail_frames < 0:
            raise ValueError("lag_ms and max_tail_frames must not be negative")


def spelled_words(tokens: Sequence[int], units: Sequence[str]) -> list[SpelledWord]:
    """Group tokens to words.

    A word begins at a unit that begins with `▁`, and at each unit that begins, or follows one that ends, with a
    Chinese character or kana: such a unit is a word of its own.

    Args:
        tokens: unit ids of one utterance, in order.
        units: text of each id, as `Tokenizer.units` lists them.
    """
    words: list[list[int]] = []
    texts: list[str] = []
    begins = True
    for position, token in enumerate(tokens):
        piece = units[token]
        text = piece.removeprefix(WORD_START)
        begins = begins or piece != text
        if not text or piece in _SILENT:
            continue
        if begins or begins_with_ideograph(text) or ends_with_ideograph(texts[-1]):
            words.append([])
            texts.append("")
        words[-1].append(position)
        texts[-1] += text
        begins = False
    return [SpelledWord(text, tuple(positions)) for text, positions in zip(texts, words)]


def word_spans(tokens: Sequence[TokenSpan], units: Sequence[str]) -> list[WordSpan]:
    """Group aligned tokens of one utterance to words, as `spelled_words` does."""
    words = spelled_words([token.token for token in tokens], units)
    return [WordSpan(word.text, tuple(tokens[i] for i in word.positions)) for word in words]


def timed_words(
    spans: Sequence[WordSpan],
    confidences: Sequence[float],
    frame_ms: int,
    duration_s: float,
    timing: WordTiming | None = None,
) -> tuple[Word, ...]:
    """Give words their times: in order, within the audio, each at least 1 ms long and none over the next.

    A word starts `lag_ms` before its first token's run, and ends that much before its last run's end plus
    `max_tail_frames`, or where the next word starts if that is earlier.

    Args:
        spans: words of one utterance.
        confidences: of each.
        frame_ms: milliseconds from one encoder frame to the next.
        duration_s: seconds of audio.
        timing: lag and tail.
    """
    timing = timing or WordTiming()
    starts = [span.tokens[0].start * frame_ms - timing.lag_ms for span in spans]
    tails = [(span.tokens[-1].end + timing.max_tail_frames) * frame_ms - timing.lag_ms for span in spans]
    duration_ms = round(duration_s * 1000)
    words, earliest = [], 0
    for i, (span, confidence) in enumerate(zip(spans, confidences)):
        following = len(spans) - i - 1  # each needs its millisecond
        start = min(max(starts[i], earliest), duration_ms - following - 1)
        end = min(tails[i], duration_ms - following, *starts[i + 1 : i + 2])
        earliest = max(end, start + 1)
        words.append(Word(span.text, start / 1000, earliest / 1000, confidence))
    return tuple(words)


def join_words(texts: Sequence[str]) -> str:
    """Words as a line of text: a blank between two, unless both are Chinese characters or kana."""
    line = ""
    for text in texts:
        glued = not line or (ends_with_ideograph(line) and begins_with_ideograph(text))
        line += text if glued else f" {text}"
    return line
