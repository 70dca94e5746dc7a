"""Transcripts of streams and files in each format."""

import io
import json
from pathlib import Path

from wenet_lite.decoding.words import Word
from wenet_lite.runtime.transcribing.audio_inputs import AudioInput
from wenet_lite.runtime.transcribing.transcript_files import TranscriptFolder, TranscriptFormat, TranscriptPrinter
from wenet_lite.runtime.transcript import Transcript

SOURCE = AudioInput("calls/a b.wav", Path("calls/a b"))
SEGMENTS = [
    Transcript("DO RE", -1.0, 1.0, (Word("DO", 0.1, 0.4, 0.9), Word("RE", 0.4, 0.8, 0.5))),
    Transcript("MI", -2.0, 2.0, (Word("MI", 3.5, 4.0, 1.0),), start=3.0),
]
SRT = "1\n00:00:00,100 --> 00:00:00,800\nDO RE\n\n2\n00:00:03,500 --> 00:00:04,000\nMI\n"


def printed(name: TranscriptFormat, *, named: bool = False) -> list[str]:
    """What is on the stream after each segment, and at the end."""
    stream, states = io.StringIO(), []
    printer = TranscriptPrinter(stream, name, named=named)
    for segment in SEGMENTS:
        printer.add(SOURCE, segment)
        states.append(stream.getvalue())
    printer.end(SOURCE, SEGMENTS)
    return [*states, stream.getvalue()]


def test_segments_of_text_are_there_when_they_end() -> None:
    assert printed("text") == ["DO RE\n", "DO RE\nMI\n", "DO RE\nMI\n"]
    assert printed("text", named=True)[-1] == "calls/a b.wav: DO RE\ncalls/a b.wav: MI\n"


def test_subtitles_are_numbered_over_all_segments() -> None:
    assert printed("srt") == ["", "", SRT]
    assert printed("vtt")[-1].startswith("WEBVTT\n\n00:00:00.100")


def test_json_and_ctm_have_the_words_with_their_times() -> None:
    first, second = map(json.loads, printed("json", named=True)[-1].splitlines())
    assert (first["key"], first["text"], second["words"][0]["start"]) == ("calls/a b.wav", "DO RE", 3.5)
    assert printed("ctm")[-1].splitlines()[2] == "calls/a_b 1 3.500 0.500 MI 1.0000"


def test_a_folder_has_a_file_for_each_input_and_nothing_else(tmp_path: Path) -> None:
    folder = TranscriptFolder(tmp_path / "out", "srt")
    for segment in SEGMENTS:
        folder.add(SOURCE, segment)
    assert list((tmp_path / "out").iterdir()) == []
    folder.end(SOURCE, SEGMENTS)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert files == [tmp_path / "out/calls/a b.srt"] and files[0].read_text() == SRT
