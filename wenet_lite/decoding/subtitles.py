"""Subtitles of timed words: SubRip and WebVTT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wenet_lite.decoding.words import Word, join_words


@dataclass(frozen=True)
class CueLimits:
    """When a new subtitle begins.

    Attributes:
        max_chars: characters of a line, blanks included; a longer word has a line of its own.
        max_s: seconds that a line stays; a longer word stays as long as it lasts.
        max_pause_s: silence between two words of a line.
    """

    max_chars: int = 42
    max_s: float = 7.0
    max_pause_s: float = 1.0


@dataclass(frozen=True)
class Cue:
    """Attributes:
    start_s, end_s: seconds from the beginning of the audio.
    text: one line.
    """

    start_s: float
    end_s: float
    text: str


def cues(words: Sequence[Word], limits: CueLimits | None = None) -> list[Cue]:
    """Split words into lines, each as full as `limits` allow."""
    limits = limits or CueLimits()
    lines: list[list[Word]] = []
    for word in words:
        if not lines or _is_full(lines[-1], word, limits):
            lines.append([])
        lines[-1].append(word)
    return [Cue(line[0].start_s, line[-1].end_s, join_words([word.text for word in line])) for line in lines]


def to_srt(lines: Sequence[Cue]) -> str:
    """SubRip: numbered blocks, `hours:minutes:seconds,milliseconds`."""
    blocks = [
        f"{i}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{cue.text}\n" for i, cue in enumerate(lines, 1)
    ]
    return "\n".join(blocks)


def to_vtt(lines: Sequence[Cue]) -> str:
    """WebVTT; what its cue text reserves is escaped."""
    blocks = [f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n{_escaped(cue.text)}\n" for cue in lines]
    return "\n".join(["WEBVTT\n", *blocks])


def _is_full(line: Sequence[Word], word: Word, limits: CueLimits) -> bool:
    text = join_words([*(each.text for each in line), word.text])
    return (
        len(text) > limits.max_chars
        or word.end_s - line[0].start_s > limits.max_s
        or word.start_s - line[-1].end_s > limits.max_pause_s
    )


def _clock(seconds: float, separator: str) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{separator}{milliseconds:03d}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
