"""Timed words as JSON, NIST's CTM and Praat's TextGrid."""

from __future__ import annotations

import json
from dataclasses import dataclass

from wenet_lite.decoding.words import UntimedWord, Word, join_words

SCHEMA = 1


@dataclass(frozen=True)
class TimedUtterance:
    """Attributes:
    key: utterance id.
    duration_s: seconds of audio; 0 where it could not be heard.
    words: in order, none over the next.
    """

    key: str
    duration_s: float
    words: tuple[Word | UntimedWord, ...]

    @property
    def timed(self) -> list[Word]:
        """The words that have times."""
        return [word for word in self.words if isinstance(word, Word)]


def to_json(utterance: TimedUtterance) -> str:
    """One line of JSON: schema, key, duration, text and words; times in seconds, null for words without."""
    tree = {
        "schema": SCHEMA,
        "key": utterance.key,
        "duration": utterance.duration_s,
        "text": join_words([word.text for word in utterance.words]),
        "words": [_entry(word) for word in utterance.words],
    }
    return json.dumps(tree, ensure_ascii=False) + "\n"


def _entry(word: Word | UntimedWord) -> dict[str, str | float | None]:
    if isinstance(word, UntimedWord):
        return {"word": word.text, "start": None, "end": None, "confidence": None}
    return {"word": word.text, "start": word.start_s, "end": word.end_s, "confidence": round(word.confidence, 4)}


def to_ctm(utterance: TimedUtterance, channel: str = "1") -> str:
    """A line a word with times, for NIST's sclite: `<file> <channel> <start> <duration> <word> <confidence>`."""
    lines = [
        f"{utterance.key} {channel} {word.start_s:.3f} {word.end_s - word.start_s:.3f} {word.text} "
        f"{word.confidence:.4f}\n"
        for word in utterance.timed
    ]
    return "".join(lines)


def to_textgrid(utterance: TimedUtterance) -> str:
    """Praat's long text format with one interval tier, `words`; silence has empty intervals."""
    intervals: list[tuple[float, float, str]] = []
    now = 0.0
    for word in utterance.timed:
        if word.start_s > now:
            intervals.append((now, word.start_s, ""))
        intervals.append((word.start_s, word.end_s, word.text))
        now = word.end_s
    end = max(utterance.duration_s, now)
    if end > now:
        intervals.append((now, end, ""))
    lines = [
        'File type = "ooTextFile"\nObject class = "TextGrid"\n',
        f"xmin = 0\nxmax = {end:.6f}\ntiers? <exists>\nsize = 1\nitem []:",
        '    item [1]:\n        class = "IntervalTier"\n        name = "words"',
        f"        xmin = 0\n        xmax = {end:.6f}\n        intervals: size = {len(intervals)}",
    ]
    for i, (start, stop, text) in enumerate(intervals, 1):
        quoted = text.replace('"', '""')
        lines.append(f"        intervals [{i}]:\n            xmin = {start:.6f}\n            xmax = {stop:.6f}")
        lines.append(f'            text = "{quoted}"')
    return "\n".join(lines) + "\n"
