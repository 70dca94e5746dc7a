"""Timed words in files: read back by the rules of each format."""

import json
import re

import pytest

from wenet_lite.decoding.subtitles import CueLimits, cues, to_srt, to_vtt
from wenet_lite.decoding.word_formats import TimedUtterance, to_ctm, to_json, to_textgrid
from wenet_lite.decoding.words import UntimedWord, Word

WORDS = (
    Word("HELLO", 0.12, 0.48, 0.98765),
    Word('"A&B"', 0.48, 0.9, 0.5),
    Word("<unk>", 1.25, 1.5, 0.0),
    Word("今", 1.5, 1.6, 1.0),
    Word("天", 1.6, 1.75, 1.0),
)
UTTERANCE = TimedUtterance("ann-1", 2.0, WORDS)


def test_json_has_every_word() -> None:
    tree = json.loads(to_json(UTTERANCE))
    assert tree["schema"] == 1 and tree["key"] == "ann-1" and tree["duration"] == 2.0
    assert tree["text"] == 'HELLO "A&B" <unk> 今天'
    assert [Word(w["word"], w["start"], w["end"], w["confidence"]) for w in tree["words"][1:]] == list(WORDS[1:])


def test_ctm_has_six_fields_a_line_and_the_duration_fourth() -> None:
    rows = [line.split(" ") for line in to_ctm(UTTERANCE, "A").splitlines()]
    assert rows[0] == ["ann-1", "A", "0.120", "0.360", "HELLO", "0.9877"]
    for (key, channel, start, duration, text, confidence), word in zip(rows, WORDS):
        assert (key, channel, text) == ("ann-1", "A", word.text)
        assert float(start) == word.start_s and float(duration) == pytest.approx(word.end_s - word.start_s)
        assert 0 <= float(confidence) <= 1
    assert to_ctm(TimedUtterance("x", 1.0, ())) == ""


def test_a_word_without_times_has_nulls_in_json_and_no_line_elsewhere() -> None:
    some = TimedUtterance("ann-1", 2.0, (WORDS[0], UntimedWord("LOST"), WORDS[2]))
    assert json.loads(to_json(some))["text"] == "HELLO LOST <unk>"
    assert json.loads(to_json(some))["words"][1] == {"word": "LOST", "start": None, "end": None, "confidence": None}
    timed = TimedUtterance("ann-1", 2.0, (WORDS[0], WORDS[2]))
    assert to_ctm(some) == to_ctm(timed) and to_textgrid(some) == to_textgrid(timed)


@pytest.mark.parametrize("words", [WORDS, (), (Word("A", 0.0, 2.0, 1.0),)])
def test_textgrid_tiles_the_audio(words: tuple[Word, ...]) -> None:
    text = to_textgrid(TimedUtterance("ann-1", 2.0, words))
    values = re.findall(r"^\s*(xmin|xmax|text|size|intervals: size|class|name) = (.+?)\s*$", text, re.MULTILINE)
    assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 2.000000\n')
    assert values[2:7] == [
        *(("size", "1"), ("class", '"IntervalTier"'), ("name", '"words"'), ("xmin", "0"), ("xmax", "2.000000"))
    ]
    count, fields = int(values[7][1]), [value for _, value in values[8:]]
    intervals = list(zip(map(float, fields[0::3]), map(float, fields[1::3]), fields[2::3]))
    assert len(intervals) == count == text.count("intervals [")
    assert intervals[0][0] == 0 and intervals[-1][1] == 2.0
    assert all(left[1] == right[0] and left[0] < left[1] for left, right in zip(intervals, intervals[1:]))
    labels = [(start, end, label[1:-1].replace('""', '"')) for start, end, label in intervals if label != '""']
    assert labels == [(word.start_s, word.end_s, word.text) for word in words]


def talk(count: int, text: str = "WORDS") -> list[Word]:
    return [Word(text, i * 0.5, i * 0.5 + 0.4, 1.0) for i in range(count)]


def test_lines_are_as_full_as_characters_seconds_and_pauses_allow() -> None:
    lines = cues(talk(30))
    assert [line.text for line in lines[:2]] == [" ".join(["WORDS"] * 7)] * 2
    assert [(line.start_s, line.end_s) for line in lines[:2]] == [(0.0, 3.4), (3.5, 6.9)]
    assert " ".join(line.text for line in lines) == " ".join(["WORDS"] * 30)
    assert max(line.end_s - line.start_s for line in cues(talk(60, "A"))) == pytest.approx(6.9)
    assert [line.text for line in cues([Word("A", 0, 1, 1.0), Word("B", 2.5, 3, 1.0)])] == ["A", "B"]
    assert [line.text for line in cues(talk(2, "A" * 50), CueLimits(max_chars=10))] == ["A" * 50] * 2
    assert cues([]) == []


def test_srt_is_numbered_blocks_between_blank_lines() -> None:
    late = [Word("LATE", 3600 + 61.0016, 3600 + 62.9996, 1.0)]
    text = to_srt(cues([*WORDS, *late]))
    blocks = [block.split("\n") for block in text.rstrip("\n").split("\n\n")]
    assert [block[0] for block in blocks] == ["1", "2"]
    assert blocks[0][1:] == ["00:00:00,120 --> 00:00:01,750", 'HELLO "A&B" <unk> 今天']
    assert blocks[1][1:] == ["01:01:01,002 --> 01:01:03,000", "LATE"]


def test_vtt_has_its_header_and_escapes_what_is_reserved() -> None:
    header, cue = to_vtt(cues(WORDS)).rstrip("\n").split("\n\n")
    assert header == "WEBVTT"
    assert cue == '00:00:00.120 --> 00:00:01.750\nHELLO "A&amp;B" &lt;unk&gt; 今天'
    assert to_vtt([]) == "WEBVTT\n"
