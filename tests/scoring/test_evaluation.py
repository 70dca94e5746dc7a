"""What `score` tells beyond Kaldi's lines, only when asked, and what it says of files that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from transcripts import write

from wenet_lite.bin import command, score

INTERVAL = "(bootstrap over 3 utterances)"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with references and hypotheses of three utterances."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "ref", ["a Don’t go", "b go there", "c stop"])
    write(tmp_path / "hyp", ["a DON'T GO", "b GO WHERE", "c"])
    write(tmp_path / "other", ["a DON'T", "b GO WHERE", "c"])
    return tmp_path


def run(*options: str) -> int:
    return command.run(score.main, ["--ref", "ref", "--hyp", "hyp", *options])


def test_one_line_more_than_kaldi_unless_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--rules", str(write(folder / "rules", ["case: upper"]))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "%WER 40.00 [ 2 / 5, 0 ins, 1 del, 1 sub ]"
    assert len(lines) == 4 and lines[3] == f"95 % confidence interval 0.00 to 100.00 {INTERVAL}"


def test_references_are_compared_as_they_stand_without_rules(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert capsys.readouterr().out.startswith("%WER 100.00 [ 5 / 5,")


def test_tables_come_after_and_in_order(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "utt2spk", ["a ann", "b bob", "c cy"])
    write(folder / "rules", ["case: upper"])
    write(folder / "hotwords", ["go there"])
    options = ["--rules", "rules", "--utt2spk", "utt2spk", "--hotwords", "hotwords", "--compare", "other"]
    assert run(*options, "--frequent", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[4] == "%WER 60.00 [ 3 / 5, 0 ins, 2 del, 1 sub ] of the second system"
    assert lines[5].startswith("difference -20.00, 95 % confidence interval ")
    assert lines[6:8] == ["%B-WER 50.00 [ 1 / 2, 0 ins, 0 del, 1 sub ]", "%U-WER 33.33 [ 1 / 3, 0 ins, 1 del, 0 sub ]"]
    assert lines[8:] == [
        "",
        "speaker   WER %  words  ins  del  sub  sentences  wrong",
        "cy       100.00      1    0    1    0          1      1",
        "bob       50.00      2    0    0    1          1      1",
        "ann        0.00      2    0    0    0          1      0",
        "",
        "substitutions",
        "      1  THERE -> WHERE",
        "",
        "insertions",
        "",
        "deletions",
        "      1  STOP",
    ]


NBEST = '{"key": "a", "nbest": [{"text": "A", "score": -1}]}'


@pytest.mark.parametrize(
    ("name", "lines", "expected"),
    [
        ("compare", ["a x", "zoe y"], "1 of 2 ids are not in ref: zoe (score it against the text it was decoded from)"),
        ("compare", ["a x", "b y"], "has no hypothesis for 1 utterances of ref: c (decode them, or count them as"),
        ("compare", [], "has no hypothesis for 3 utterances of ref: a, b, c ("),
        ("compare", ["a x", "a y"], "given:2: has the key 'a' a second time"),
        ("utt2spk", ["a ann"], "has no speaker for 2 of 3 utterances: b, c ("),
        ("hotwords", [], "holds no hotword (write one phrase a line)"),
        ("rules", ["cas: upper"], "unknown key 'cas'; did you mean 'case'?"),
        ("rules", ["schema: 1", "text: {case: big}"], "'text.case' must be one of upper, lower, keep, got 'big'"),
        ("nbest", [], "has no hypothesis of a scored utterance ("),
        ("nbest", [NBEST.replace('"a"', '"zoe"')], "has no hypothesis of a scored utterance ("),
        ("nbest", [NBEST, NBEST], "given:2: has the key 'a' a second time"),
        ("nbest", [NBEST.replace('"A"', "1")], "given:1: is not a line of an n-best list"),
        ("nbest", ["[" * 99999], "given:1: is not a line of an n-best list"),
        ("nbest", ['{"schema": 2, "key": "a", "nbest": []}'], "given:1: is not a line of schema 1"),
        ("audio", ["a cat x |", "b http://x/y.wav"], "names no audio file ("),
        ("audio", ['{"key": "a"}'], "given:1: lacks 'wav'"),
        ("audio", [], "names no audio file ("),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, lines: list[str], expected: str
) -> None:
    write(folder / "given", lines)
    assert run(f"--{name}", "given", "--html", "page.html", "--details", "details") == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("score: given:") and expected in captured.err
    assert not list(folder.glob("page.html*")) and not list(folder.glob("details*"))


@pytest.mark.parametrize("name", ["ref", "hyp", "compare", "utt2spk", "hotwords", "rules", "nbest", "audio"])
def test_a_file_that_is_missing_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run("--html", "page.html", f"--{name}", "nowhere") == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("score: nowhere: cannot read") and captured.err.count("\n") == 1


def test_present_compares_the_same_utterances_only(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "other", ["a X", "b Y"])
    assert run("--mode", "present", "--compare", "other") == 1
    assert "other utterances cannot be compared" in capsys.readouterr().err
    assert run("--mode", "all", "--compare", "other") == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--audio", "x"], "--audio needs --html"),
        (["--frequent", "-1"], "'-1' is not a whole number"),
        (["--html", "no/page.html"], "its folder does not exist"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], expected: str
) -> None:
    try:
        assert run(*options) == 1
    except SystemExit as ended:
        assert ended.code == 1
    captured = capsys.readouterr()
    assert expected in captured.err and captured.err.count("\n") == 1
