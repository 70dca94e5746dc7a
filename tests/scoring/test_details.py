"""The file of alignments keeps WeNet's format, so that `diff` and scripts made for it go on working."""

from __future__ import annotations

from pathlib import Path

import pytest

from wenet_lite.bin import command, score
from wenet_lite.scoring.details import script

EXPECTED = """\

utt: a
WER: 50.00 % N=4 C=3 S=1 D=0 I=1
lab: one two  three    four 
rec: one twoo three oh four 


utt: b
WER: 50.00 % N=4 C=2 S=1 D=1 I=0
lab: HELLO 你 好 9 
rec: HELLO 你 们   


utt: c
WER: 0.00 % N=0 C=0 S=0 D=0 I=0
===========================================================================

Overall -> 50.00 % N=8 C=5 S=2 D=1 I=1
English -> 40.00 % N=5 C=4 S=1 D=0 I=1
Mandarin -> 50.00 % N=2 C=1 S=1 D=0 I=0
Number -> 100.00 % N=1 C=0 S=0 D=1 I=0

===========================================================================
"""


def test_details_are_in_wenets_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ref").write_text("a one two three four\nb HELLO 你 好 9\nc\n", encoding="utf-8")
    (tmp_path / "hyp").write_text("a one twoo three oh four\nb HELLO 你 们\nc\n", encoding="utf-8")
    paths = {name: str(tmp_path / name) for name in ("ref", "hyp", "details")}
    arguments = ["--ref", paths["ref"], "--hyp", paths["hyp"], "--details", paths["details"]]
    assert command.run(score.main, arguments) == 0
    written = (tmp_path / "details").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["details", "hyp", "ref"]
    assert "%WER 50.00 [ 4 / 8, 1 ins, 1 del, 2 sub ]" in capsys.readouterr().out
    assert written == EXPECTED


def test_details_into_no_folder_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text("a one\n")
    text, details = str(tmp_path / "text"), str(tmp_path / "nowhere/details")
    assert command.run(score.main, ["--ref", text, "--hyp", text, "--details", details]) == 1
    captured = capsys.readouterr()
    assert captured.err == f"score: {details}: cannot be written: its folder does not exist\n"


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("DON'T", "English"),
        ("x-ray", "English"),
        ("语言", "Mandarin"),
        ("42", "Number"),
        ("はこ", "Japanese"),
        ("MP3", "Other"),
        ("HELLO你", "Other"),
        ("привет", "Other"),
        ("'", "Other"),
        ("<unk>", "Other"),
        ("\x01", "Other"),
    ],
)
def test_a_unit_belongs_to_the_script_of_all_its_characters(unit: str, expected: str) -> None:
    assert script(unit) == expected
