"""The parts that RESULTS.md has figures of can be cut from LibriSpeech again."""

import sys
from pathlib import Path

import pytest
from toy import ROOT

from wenet_lite.bin import command

sys.path.insert(0, str(ROOT / "egs/librispeech/local"))
import make_mini_parts
from prepare_data import read_part

SHARED = ROOT.parent / "shared/corpora/LibriSpeech"


def write_part(part: Path, keys: list[str]) -> None:
    for key in keys:
        reader, chapter, _ = key.split("-")
        folder = part / reader / chapter
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{key}.flac").touch()
        with open(folder / f"{reader}-{chapter}.trans.txt", "a") as transcripts:
            transcripts.write(f"{key} SAID IN {key}\n")


@pytest.fixture
def datadir(tmp_path: Path) -> Path:
    """Two readers of train-clean-5, two others of train-clean-100, dev-mini's; twelve of test-other."""
    corpus = tmp_path / "LibriSpeech"
    write_part(corpus / "train-clean-5", ["19-7-0000", "26-7-0000"])
    readers = ("19", "26", "27", "103", *make_mini_parts.DEV_READERS)
    write_part(corpus / "train-clean-100", [f"{r}-{c}-000{n}" for r in readers for c in (7, 12) for n in range(2)])
    write_part(corpus / "test-other", [f"{r}-{c}-000{n}" for r in range(90, 102) for c in (1, 2) for n in range(7)])
    return tmp_path


def test_parts_are_links_to_what_was_chosen(datadir: Path) -> None:
    assert command.run(make_mini_parts.main, ["--datadir", str(datadir)]) == 0
    corpus = datadir / "LibriSpeech"
    wav, text, _ = read_part(corpus / "train-clean-100-1utt")
    assert sorted(wav) == ["103-12-0000", "27-12-0000"]
    assert Path(wav["27-12-0000"]).resolve() == (corpus / "train-clean-100/27/12/27-12-0000.flac").resolve()
    assert text["27-12-0000"] == "SAID IN 27-12-0000"
    wav, _, readers = read_part(corpus / "dev-mini")
    assert len(wav) == 16 and set(readers.values()) == make_mini_parts.DEV_READERS
    wav, _, _ = read_part(corpus / "test-other-mini")
    expected = [f"{r}-1-000{n}" for r in range(90, 100) for n in range(7)]
    assert set(wav) == {*expected, *(f"{r}-2-000{n}" for r in range(90, 100) for n in range(3))}
    sentences = (datadir / "train-clean-100.txt").read_text().splitlines()
    assert len(sentences) == 16 and "SAID IN 26-7-0001" in sentences


def test_a_part_that_is_there_stays(datadir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_part(datadir / "LibriSpeech/dev-mini", ["1-1-0000"])
    assert command.run(make_mini_parts.main, ["--datadir", str(datadir)]) == 0
    assert list(read_part(datadir / "LibriSpeech/dev-mini")[0]) == ["1-1-0000"]
    assert "dev-mini is there already" in capsys.readouterr().out


def test_a_part_that_lacks_is_named(datadir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (datadir / "LibriSpeech/test-other").rename(datadir / "elsewhere")
    assert command.run(make_mini_parts.main, ["--datadir", str(datadir)]) == 1
    assert "LibriSpeech/test-other: holds no" in capsys.readouterr().err


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/corpora, the parts as they were cut")
def test_the_rules_are_those_that_the_figures_are_of() -> None:
    parts = ("dev-mini", "train-clean-5", "train-clean-100-1utt", "test-other-mini")
    dev, train, first, test = (read_part(SHARED / part)[2] for part in parts)
    assert set(dev.values()) == make_mini_parts.DEV_READERS
    assert len(set(first.values())) == len(first) == 219
    assert not set(first.values()) & ({*train.values()} | make_mini_parts.DEV_READERS)
    assert all(keys == [f"{keys[0][:-1]}{n}" for n in range(10)] for keys in make_mini_parts.by_reader(test).values())
    listed = [line.split("|") for line in (SHARED / "SPEAKERS.TXT").read_text(encoding="utf-8").splitlines()]
    of_part: dict[str, set[str]] = {"train-clean-100": set(), "test-other": set()}
    for reader, _, part, *_ in (line for line in listed if len(line) > 2 and not line[0].startswith(";")):
        of_part.get(part.strip(), set()).add(reader.strip())
    assert {*first.values(), *train.values(), *dev.values()} == of_part["train-clean-100"]
    assert {*test.values()} == {*sorted(of_part["test-other"], key=int)[:10]}
