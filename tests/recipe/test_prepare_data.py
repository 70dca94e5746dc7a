"""From LibriSpeech's layout to a Kaldi data directory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wenet_lite.bin import command
from wenet_lite.data.kaldi import read_table
from wenet_lite.data.kaldi_validate import validate

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "egs" / "librispeech" / "local"))
import prepare_data

TABLES = {"wav.scp", "text", "utt2spk", "spk2utt", "utt2dur", "spk2gender"}
SPEAKERS = (
    ";ID  |SEX| SUBSET   |MINUTES| NAME\n19   | F | mine     | 1.00 | Ann\n103  | M | mine     | 1.00 | Bob | Jr\n"
)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """Readers 19 and 103, a chapter each, an utterance of 1, 2 and 3 s in each of the three audio formats."""
    part = tmp_path / "LibriSpeech" / "my-part"
    for reader in ("19", "103"):
        chapter = part / reader / "7"
        chapter.mkdir(parents=True)
        lines = []
        for number, suffix in enumerate(("flac", "wav", "opus")):
            key = f"{reader}-7-{number:04d}"
            samples = np.random.default_rng(number).normal(0, 0.1, (number + 1) * 16000)
            soundfile.write(chapter / f"{key}.{suffix}", samples, 16000, **({} if suffix != "opus" else OPUS))
            lines.append(f"{key} IT'S SENTENCE NUMBER {number}\n")
        (chapter / f"{reader}-7.trans.txt").write_text("".join(lines))
    (part.parent / "SPEAKERS.TXT").write_text(SPEAKERS)
    return part


OPUS = {"format": "OGG", "subtype": "OPUS"}


def prepare(part: Path, data_dir: Path) -> int:
    return command.run(prepare_data.main, [str(part), str(data_dir)])


def tables(data_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data_dir.iterdir()}


def test_all_six_tables_agree_with_the_corpus(part: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data" / "my_part"
    assert prepare(part, data_dir) == 0
    assert {path.name for path in data_dir.iterdir()} == TABLES
    validate(data_dir, no_feats=True)
    keys = [f"{reader}-7-{number:04d}" for reader in ("103", "19") for number in range(3)]
    assert list(read_table(data_dir / "text").items()) == [(key, f"IT'S SENTENCE NUMBER {key[-1]}") for key in keys]
    assert read_table(data_dir / "utt2spk") == {key: key.split("-")[0] for key in keys}
    assert read_table(data_dir / "spk2gender") == {"103": "m", "19": "f"}
    assert {key: float(value) for key, value in read_table(data_dir / "utt2dur").items()} == {
        key: int(key[-1]) + 1 for key in keys
    }
    for key, path in read_table(data_dir / "wav.scp").items():
        assert os.path.isabs(path) and Path(path).stem == key and Path(path).is_file()


def test_paths_are_absolute_from_any_folder(part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert prepare(Path("LibriSpeech/my-part"), Path("data/my_part")) == 0
    paths = read_table(tmp_path / "data" / "my_part" / "wav.scp").values()
    assert all(path.startswith(f"{part}/") for path in paths)


def test_twice_gives_the_same_bytes_and_nothing_stale(part: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    assert prepare(part, data_dir) == 0
    first = tables(data_dir)
    (data_dir / "data.list").write_text("derived from the directory as it was\n")
    assert prepare(part, data_dir) == 0
    assert tables(data_dir) == first


def test_a_link_to_a_folder_elsewhere_stays_a_link(part: Path, tmp_path: Path) -> None:
    disk, data_dir = tmp_path / "disk", tmp_path / "data" / "train"
    data_dir.parent.mkdir()
    data_dir.symlink_to(disk / "train")
    for _ in range(2):
        assert prepare(part, data_dir) == 0
        assert data_dir.is_symlink() and set(tables(disk / "train")) == TABLES
        assert [entry.name for folder in (disk, data_dir.parent) for entry in folder.iterdir()] == ["train", "train"]


def test_without_speakers_txt_there_is_no_spk2gender(part: Path, tmp_path: Path) -> None:
    (part.parent / "SPEAKERS.TXT").unlink()
    assert prepare(part, tmp_path / "data") == 0
    assert set(tables(tmp_path / "data")) == TABLES - {"spk2gender"}


def remove_audio(chapter: Path) -> str:
    (chapter / "19-7-0001.wav").unlink()
    return "19-7.trans.txt:2: utterance '19-7-0001' has no audio file beside it (remove the line)"


def remove_transcript_line(chapter: Path) -> str:
    transcript = chapter / "19-7.trans.txt"
    transcript.write_text("".join(transcript.read_text().splitlines(keepends=True)[:2]))
    return "19-7-0002.opus: has no transcript (add it to 19-7.trans.txt or remove it)"


def remove_transcripts(chapter: Path) -> str:
    (chapter / "19-7.trans.txt").unlink()
    return "19-7.trans.txt: cannot read the file: No such file or directory"


def empty_transcript(chapter: Path) -> str:
    transcript = chapter / "19-7.trans.txt"
    transcript.write_text(transcript.read_text().replace("0001 IT'S SENTENCE NUMBER 1", "0001"))
    return "19-7.trans.txt:2: utterance '19-7-0001' has an empty transcript (remove it and its audio)"


def double_transcript(chapter: Path) -> str:
    transcript = chapter / "19-7.trans.txt"
    transcript.write_text(transcript.read_text() + "19-7-0000 AGAIN\n")
    return "19-7.trans.txt:4: utterance '19-7-0000' occurs twice (keep one of them)"


def latin_1_transcript(chapter: Path) -> str:
    transcript = chapter / "19-7.trans.txt"
    transcript.write_bytes(transcript.read_bytes().replace(b"NUMBER 2", "CAFÉ".encode("latin-1")))
    return "19-7.trans.txt:3: is not UTF-8 (convert the file with iconv)"


def unreadable_audio(chapter: Path) -> str:
    (chapter / "19-7-0000.flac").write_bytes(b"no audio at all")
    return "19-7-0000.flac: cannot be decoded"


def audio_without_samples(chapter: Path) -> str:
    soundfile.write(chapter / "19-7-0001.wav", np.zeros(0), 16000)
    return "19-7-0001.wav: holds no audio (restore it, or remove it and its transcript)"


def unlisted_reader(chapter: Path) -> str:
    speakers = chapter.parents[2] / "SPEAKERS.TXT"
    speakers.write_text("".join(SPEAKERS.splitlines(keepends=True)[::2]))
    return "SPEAKERS.TXT: does not list reader '19' (add the line or remove the file)"


@pytest.mark.parametrize(
    "damage",
    [
        remove_audio,
        remove_transcript_line,
        remove_transcripts,
        empty_transcript,
        double_transcript,
        latin_1_transcript,
        unreadable_audio,
        audio_without_samples,
        unlisted_reader,
    ],
)
def test_damage_gets_one_line_and_leaves_the_earlier_directory(
    damage: Callable[[Path], str], part: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir = tmp_path / "data" / "my_part"
    assert prepare(part, data_dir) == 0
    before = tables(data_dir)
    complaint = damage(part / "19" / "7")
    capsys.readouterr()
    assert prepare(part, data_dir) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"prepare_data: {part.parent}/") and complaint in line
    assert tables(data_dir) == before
    assert [path.name for path in data_dir.parent.iterdir()] == ["my_part"]


def test_a_transcript_that_kaldi_forbids_leaves_nothing(
    part: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    transcript = part / "19" / "7" / "19-7.trans.txt"
    transcript.write_text(transcript.read_text().replace("NUMBER 1", "<s>"))
    assert prepare(part, tmp_path / "data" / "my_part") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "<s>" in line
    assert not any((tmp_path / "data").iterdir())


def test_a_part_that_is_missing_gets_the_stage_that_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(tmp_path / "nowhere", tmp_path / "data") == 1
    assert "(stage 0 makes it)" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_folder_with_other_things_is_not_replaced(
    part: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter1.tex").write_text("three years of work\n")
    assert prepare(part, mine) == 1
    assert f"{mine}: is not a data directory and not empty" in capsys.readouterr().err
    assert [path.name for path in mine.iterdir()] == ["chapter1.tex"]


@pytest.mark.parametrize(
    ("name", "utterances", "readers", "hours"), [("test-other-mini", 100, 10, 0.21), ("dev-mini", 496, 4, 1.68)]
)
def test_real_speech(corpora: Path, tmp_path: Path, name: str, utterances: int, readers: int, hours: float) -> None:
    data_dir = tmp_path / name
    assert prepare(corpora / "LibriSpeech" / name, data_dir) == 0
    validate(data_dir, no_feats=True)
    durations = read_table(data_dir / "utt2dur")
    assert len(durations) == len(read_table(data_dir / "text")) == utterances
    assert len(read_table(data_dir / "spk2gender")) == readers
    assert sum(map(float, durations.values())) / 3600 == pytest.approx(hours, abs=0.005)
    for key, path in list(read_table(data_dir / "wav.scp").items())[::25]:
        samples, rate = soundfile.read(path)  # decoded to its end, not the header's word
        assert float(durations[key]) == pytest.approx(len(samples) / rate, abs=1e-4)
