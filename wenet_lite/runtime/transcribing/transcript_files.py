"""Transcripts as text, JSON, subtitles or CTM: on standard output as they come, or in a file for each input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO, get_args

from wenet_lite.data.kaldi import renamed_when_written
from wenet_lite.decoding.subtitles import cues, to_srt, to_vtt
from wenet_lite.decoding.word_formats import TimedUtterance, to_ctm, to_json
from wenet_lite.decoding.words import Word
from wenet_lite.runtime.transcribing.audio_inputs import AudioInput
from wenet_lite.runtime.transcript import Transcript

TranscriptFormat = Literal["text", "json", "srt", "vtt", "ctm"]
TRANSCRIPT_FORMATS: tuple[TranscriptFormat, ...] = get_args(TranscriptFormat)


@dataclass(frozen=True)
class _Format:
    """Attributes:
    suffix: of files.
    render: name of an input and its segments, one or several, as they stand in a file.
    by_segment: whether a file is no more than its segments, one after the other.
    """

    suffix: str
    render: Callable[[str, Sequence[Transcript]], str]
    by_segment: bool


def _text(name: str, segments: Sequence[Transcript]) -> str:
    return "".join(f"{segment.text}\n" for segment in segments)


def _json(name: str, segments: Sequence[Transcript]) -> str:
    return "".join(to_json(TimedUtterance(name, segment.duration, segment.words)) for segment in segments)


def _ctm(name: str, segments: Sequence[Transcript]) -> str:
    key = "_".join(str(Path(name).with_suffix("")).split())  # fields of CTM end at blanks
    return "".join(to_ctm(TimedUtterance(key, segment.duration, segment.words)) for segment in segments)


def _timed(segments: Sequence[Transcript]) -> list[Word]:
    return [word for segment in segments for word in segment.timed]


_FORMATS: dict[TranscriptFormat, _Format] = {
    "text": _Format(".txt", _text, True),
    "json": _Format(".jsonl", _json, True),
    "srt": _Format(".srt", lambda name, segments: to_srt(cues(_timed(segments))), False),
    "vtt": _Format(".vtt", lambda name, segments: to_vtt(cues(_timed(segments))), False),
    "ctm": _Format(".ctm", _ctm, True),
}


class TranscriptPrinter:
    """Writes to a stream, segment by segment; subtitles, which are numbered, when their input has ended.

    Args:
        stream: such as `sys.stdout`.
        format_name: of all.
        named: text has the input's name before it.
    """

    def __init__(self, stream: TextIO, format_name: TranscriptFormat, *, named: bool) -> None:
        self._stream, self._format = stream, _FORMATS[format_name]
        self._named = named and format_name == "text"

    def add(self, source: AudioInput, segment: Transcript) -> None:
        """The next segment of an input."""
        if self._format.by_segment:
            prefix = f"{source.name}: " if self._named else ""
            self._write(prefix + self._format.render(source.name, [segment]))

    def end(self, source: AudioInput, segments: Sequence[Transcript]) -> None:
        """An input has ended; these were its segments."""
        if not self._format.by_segment:
            self._write(self._format.render(source.name, segments))

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class TranscriptFolder:
    """Writes a file for each input, whole or not at all.

    Args:
        folder: made where it is missing.
        format_name: of all.
    """

    def __init__(self, folder: Path, format_name: TranscriptFormat) -> None:
        self._folder, self._format = folder, _FORMATS[format_name]
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, source: AudioInput, segment: Transcript) -> None:
        """Segments are written at the end."""

    def end(self, source: AudioInput, segments: Sequence[Transcript]) -> None:
        """An input has ended; these were its segments."""
        target = self._folder / f"{source.output}{self._format.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        with renamed_when_written(target) as stream:
            stream.write(self._format.render(source.name, segments).encode())
