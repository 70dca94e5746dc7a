"""Importers: a foreign corpus becomes a Kaldi directory that is valid, or one clear line says why not."""

from __future__ import annotations

import gzip
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wenet_lite.bin import import_data
from wenet_lite.data.importers_ids import kaldi_ids
from wenet_lite.data.importers_source import gender_of
from wenet_lite.data.kaldi import read_table
from wenet_lite.data.kaldi_validate import validate
from wenet_lite.errors import DataError

PROJECT = Path(__file__).resolve().parents[2]
TOOL = PROJECT / "tools" / "import_data.sh"


def audio(folder: Path, *names: str) -> None:
    """Files that nobody needs to decode."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"audio")


def tables(folder: Path) -> dict[str, dict[str, str]]:
    return {path.name: read_table(path) for path in folder.iterdir() if path.is_file()}


def imported(form: str, *arguments: object) -> dict[str, dict[str, str]]:
    """The tables that an import leaves, which must be valid."""
    *_, dest = [argument for argument in arguments if isinstance(argument, Path)]
    assert import_data.main(["--format", form, *map(str, arguments)]) == 0
    validate(dest, no_feats=True)
    return tables(dest)


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    command = [os.fspath(TOOL), *map(str, arguments)]
    return subprocess.run(command, check=False, cwd=cwd, env=environment, capture_output=True, text=True)


# CSV

COMMON_VOICE = """client_id\tpath\tsentence_id\tsentence\tup_votes\tage\tgender
c0ffee\tcommon_voice_en_2.mp3\tx\tThe second one.\t2\t\tfemale_feminine
beef\tcommon_voice_en_1.mp3\ty\tNaïve, isn't it?\t2\t\tmale_masculine
c0ffee\tcommon_voice_en_3.mp3\tz\t"Quoted, ""inside""."\t2\t\tfemale_feminine
"""


def test_common_voice_is_understood_as_it_comes(tmp_path: Path) -> None:
    audio(tmp_path / "cv/clips", "common_voice_en_1.mp3", "common_voice_en_2.mp3", "common_voice_en_3.mp3")
    (tmp_path / "cv/validated.tsv").write_text(COMMON_VOICE, encoding="utf-8")
    made = imported("csv", tmp_path / "cv/validated.tsv", tmp_path / "data")
    assert made["text"] == {
        "beef-common_voice_en_1": "Naïve, isn't it?",
        "c0ffee-common_voice_en_2": "The second one.",
        "c0ffee-common_voice_en_3": 'Quoted, "inside".',
    }
    assert made["wav.scp"]["beef-common_voice_en_1"] == f"{tmp_path}/cv/clips/common_voice_en_1.mp3"
    assert made["spk2gender"] == {"beef": "m", "c0ffee": "f"}
    assert set(made) == {"text", "wav.scp", "utt2spk", "spk2utt", "spk2gender"}


@pytest.mark.parametrize(
    "content",
    [
        "id,wav,text,speaker\nu1,a.wav,one two,ann\nu2,b.wav,three,bob\n",
        "\ufeffid,wav,text,speaker\r\nu1,a.wav,one two,ann\r\n\r\nu2,b.wav,three,bob",
        "utt;file;sentence;spk\nu1;a.wav;one two;ann\nu2;b.wav;three;bob\n",
        "UTT_ID|Audio|Transcript|Speaker_ID\nu1|a.wav|one two|ann\nu2|b.wav|three|bob\n",
        'id,audio_filepath,transcription,speaker\n"u1","./a.wav","one two",ann\nu2,b.wav,three,"bob"\n',
    ],
    ids=["plain", "byte order mark and CRLF", "semicolons", "bars and capitals", "quotes"],
)
def test_headings_delimiters_and_quotes_are_recognised(tmp_path: Path, content: str) -> None:
    audio(tmp_path, "a.wav", "b.wav")
    (tmp_path / "table.csv").write_bytes(content.encode())
    made = imported("csv", tmp_path / "table.csv", tmp_path / "data")
    assert made["text"] == {"ann-u1": "one two", "bob-u2": "three"}
    assert made["utt2spk"] == {"ann-u1": "ann", "bob-u2": "bob"}
    assert made["wav.scp"] == {"ann-u1": f"{tmp_path}/a.wav", "bob-u2": f"{tmp_path}/b.wav"}


def test_columns_and_the_folder_of_the_audio_can_be_named(tmp_path: Path) -> None:
    audio(tmp_path / "far", "sub/a.wav", "b.wav")
    (tmp_path / "table.csv").write_text("text,clip,what was said,who,sex\nx,sub/a.wav,one,ann,F\nx,b.wav,two,ann,F\n")
    columns = "text=what was said,audio=clip,speaker=who"
    options = ["--columns", columns, "--audio-dir", tmp_path / "far"]
    made = imported("csv", *options, tmp_path / "table.csv", tmp_path / "data")
    assert made["text"] == {"ann-b": "two", "ann-sub_a": "one"}
    assert made["spk2gender"] == {"ann": "f"}


def test_parts_of_recordings_become_segments(tmp_path: Path) -> None:
    audio(tmp_path, "long.wav", "other.wav")
    rows = "long.wav,one,0.5,1.75\nlong.wav,two,1.75,3\nother.wav,three,,2.5\n"
    (tmp_path / "table.csv").write_text("wav,text,start,end\n" + rows)
    made = imported("csv", tmp_path / "table.csv", tmp_path / "data")
    assert made["segments"] == {
        "long-0000050-0000175": "long 0.5 1.75",
        "long-0000175-0000300": "long 1.75 3.0",
        "other": "other 0.0 2.5",
    }
    assert made["wav.scp"] == {"long": f"{tmp_path}/long.wav", "other": f"{tmp_path}/other.wav"}
    assert made["utt2dur"] == {"long-0000050-0000175": "1.25", "long-0000175-0000300": "1.25", "other": "2.5"}


def test_an_offset_with_a_duration_is_a_part_too(tmp_path: Path) -> None:
    audio(tmp_path, "long.wav")
    (tmp_path / "nemo.csv").write_text("id,audio_filepath,offset,duration,text\nu1,long.wav,1.5,2,one\n")
    assert imported("csv", tmp_path / "nemo.csv", tmp_path / "data")["segments"] == {"u1": "long 1.5 3.5"}


def test_a_part_without_an_end_lasts_until_the_recording_ends(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.wav", [0.0] * 8000, 16000)
    (tmp_path / "table.csv").write_text("id,wav,text,start\nu1,a.wav,one,0.25\nu2,a.wav,all,\n")
    made = imported("csv", tmp_path / "table.csv", tmp_path / "data")
    assert made["segments"] == {"u1": "a 0.25 0.5", "u2": "a 0.0 0.5"}


def test_durations_are_kept_where_all_are_known(tmp_path: Path) -> None:
    audio(tmp_path, "a.wav", "b.wav")
    (tmp_path / "table.csv").write_text("wav,text,duration\na.wav,one,1.5\nb.wav,two,2\n")
    assert imported("csv", tmp_path / "table.csv", tmp_path / "data")["utt2dur"] == {"a": "1.5", "b": "2.0"}
    (tmp_path / "table.csv").write_text("wav,text,duration\na.wav,one,1.5\nb.wav,two,\n")
    assert "utt2dur" not in imported("csv", tmp_path / "table.csv", tmp_path / "data")


def test_only_the_blanks_of_a_text_change(tmp_path: Path) -> None:
    audio(tmp_path, "a.wav", "b.wav")
    text = "Two\r\nlines,\ta tab\u2028and  more\u00a0— «ÇA» don't"
    (tmp_path / "table.csv").write_bytes(f'wav,text\na.wav,"{text}"\nb.wav,x\n'.encode())
    made = imported("csv", tmp_path / "table.csv", tmp_path / "data")
    assert made["text"]["a"] == "Two lines, a tab and more — «ÇA» don't"


def test_a_gender_that_not_all_speakers_have_is_told_and_left_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    audio(tmp_path, "a.wav", "b.wav")
    (tmp_path / "table.csv").write_text("wav,text,speaker,gender\na.wav,one,ann,female\nb.wav,two,bob,\n")
    assert "spk2gender" not in imported("csv", tmp_path / "table.csv", tmp_path / "data")
    assert "no spk2gender, as 1 of 2 speakers have no gender or two, such as 'bob'" in caplog.text


@pytest.mark.parametrize(("word", "gender"), [("Male", "m"), ("F", "f"), ("female_feminine", "f"), ("other", "")])
def test_genders_are_understood(word: str, gender: str) -> None:
    assert gender_of(word) == gender


# what cannot be used


def table_of_hundred(tmp_path: Path, bad_rows: list[str]) -> Path:
    audio(tmp_path, "a.wav")
    rows = [f"u{number:03d},a.wav,text {number}" for number in range(100 - len(bad_rows))]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["id,wav,text", *rows, *bad_rows, ""]), encoding="utf-8")
    return path


FAULTS = [
    ("bad,a.wav,", "has no text"),
    ('bad,a.wav,"\n"', "has no text"),
    ("bad,,words", "has no audio"),
    ("bad,b.wav,words", "has no such audio file: {folder}/b.wav"),
    ("bad,touch hacked |,words", "has an audio path that cannot stand in wav.scp: {folder}/touch hacked |"),
    ("bad,a.wav:12,words", "has an audio path that cannot stand in wav.scp: {folder}/a.wav:12"),
    ("bad,a.wav,a <s> b", "contains illegal symbol <s>"),
    ("bad,a.wav,a\x01b", "contains the non-printable character U+0001"),
]


@pytest.mark.parametrize(("row", "reason"), FAULTS, ids=[reason[:50] for _, reason in FAULTS])
def test_what_cannot_be_used_is_listed_with_id_and_reason(
    tmp_path: Path, row: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = table_of_hundred(tmp_path, [row])
    made = imported("csv", path, tmp_path / "data")
    assert len(made["utt2spk"]) == 99
    listed = read_table(tmp_path / "data/.backup/left_out")
    assert listed == {f"{path}:101:bad": reason.format(folder=tmp_path)}
    assert f"1 of 100 utterances are left out; they are listed with the reason in {tmp_path}/data" in caplog.text


def test_too_many_of_them_are_an_error_with_an_example_and_nothing_is_written(tmp_path: Path) -> None:
    path = table_of_hundred(tmp_path, ["bad1,a.wav,", "bad2,nowhere.wav,words"])
    with pytest.raises(DataError) as caught:
        import_data.main(["--format", "csv", str(path), str(tmp_path / "data")])
    assert str(caught.value) == (
        f"{path}:100: 2 of 100 utterances cannot be used, such as 'bad1', which has no text "
        "(mend the source, check --audio-dir, or allow them with --max-bad-fraction)"
    )
    assert sorted(os.listdir(tmp_path)) == ["a.wav", "table.csv"]
    made = imported("csv", path, tmp_path / "data", "--max-bad-fraction", "0.02")
    assert len(made["utt2spk"]) == 98


# ids


@given(st.lists(st.tuples(st.text("ab1-_ ", min_size=1), st.text("ab1-_ ", max_size=3)), min_size=1, max_size=8))
@example([("01", "1"), ("101", "1"), ("1001", "10")])
@example([("ann_1", "ann"), ("ann1_1", "ann1")])
def test_ids_sort_one_way_by_utterance_and_by_speaker_or_there_is_an_error(named: list[tuple[str, str]]) -> None:
    try:
        ids = kaldi_ids(named, "source")
    except DataError:
        return
    speakers = [speaker for _, speaker in sorted(ids)]
    assert speakers == sorted(speakers)
    for (name, speaker), (utterance_id, speaker_id) in zip(named, ids):
        assert speaker_id == (speaker.strip().replace(" ", "_") or utterance_id)
        assert utterance_id.startswith(speaker_id) and utterance_id.endswith(name.strip().replace(" ", "_"))


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ([("u1", ""), ("u2", "")], ["u1", "u2"]),
        ([("ann_u1", "ann"), ("u2", "bob")], ["ann_u1", "bob-u2"]),
        ([("my file", "Ann Lee")], ["Ann_Lee-my_file"]),
        ([("101", "1"), ("1001", "10")], ["1-101", "10-1001"]),
        ([("ann_1", "ann"), ("ann1_1", "ann1"), ("ann-2", "ann")], ["ann-ann_1", "ann1-ann1_1", "ann-2"]),
    ],
)
def test_the_speaker_is_put_before_an_id_where_that_is_needed(
    named: list[tuple[str, str]], expected: list[str]
) -> None:
    assert [utterance for utterance, _ in kaldi_ids(named, "source")] == expected


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["u1,a.wav,x,", "u1,a.wav,y,"], ":3: has the utterance id 'u1' a second time, after {path}:2"),
        (["u 1,a.wav,x,", "u_1,a.wav,y,"], ":3: has the utterance id 'u_1' a second time, after {path}:2"),
        (["u1,a.wav,x,a b", "u2,a.wav,y,a_b"], ": the speakers 'a b' and 'a_b' both become 'a_b' (rename one)"),
        (
            ["u1,a.wav,x,ann", "u2,a.wav,y,ann-lee"],
            ": 'ann-lee-u2' of 'ann-lee' and 'ann-u1' of 'ann' sort otherwise by speaker (rename one of the two",
        ),
    ],
)
def test_ids_that_collide_are_an_error(tmp_path: Path, rows: list[str], message: str) -> None:
    audio(tmp_path, "a.wav")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["id,wav,text,speaker", *rows]))
    with pytest.raises(DataError) as caught:
        import_data.main(["--format", "csv", str(path), str(tmp_path / "data")])
    assert f"{path}{message.format(path=path)}" in str(caught.value)
    assert not (tmp_path / "data").exists()


# Hugging Face


def test_an_audio_folder_becomes_one_directory(tmp_path: Path) -> None:
    audio(tmp_path / "hf", "data/1.wav", "data/2.wav")
    lines = [
        {"file_name": "data/2.wav", "transcription": "Zwei Wörter", "speaker_id": 12},
        {"file_name": "data/1.wav", "transcription": "eins", "speaker_id": 7, "tags": ["x"]},
    ]
    (tmp_path / "hf/metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    made = imported("hf", tmp_path / "hf", tmp_path / "data")
    assert made["text"] == {"12-data_2": "Zwei Wörter", "7-data_1": "eins"}
    assert made["wav.scp"]["7-data_1"] == f"{tmp_path}/hf/data/1.wav"


@pytest.mark.parametrize("column", ["transcription", "sentence", "text"])
@pytest.mark.parametrize("inside", ["", "data/"])
def test_splits_become_directories_of_their_own(tmp_path: Path, column: str, inside: str) -> None:
    for split in ("train", "test"):
        folder = tmp_path / "hf" / inside / split
        audio(folder, "1.wav", "2.wav")
        (folder / "metadata.csv").write_text(f"file_name,{column}\n1.wav,one of {split}\n2.wav,two of {split}\n")
    assert import_data.main(["--format", "hf", str(tmp_path / "hf"), str(tmp_path / "made")]) == 0
    for split in ("train", "test"):
        made = tmp_path / "made" / inside / split
        validate(made, no_feats=True)
        assert read_table(made / "text") == {"1": f"one of {split}", "2": f"two of {split}"}
    assert not (tmp_path / "made/utt2spk").exists()


def test_no_split_is_written_where_one_is_bad(tmp_path: Path) -> None:
    audio(tmp_path / "hf", "test/1.wav", "train/1.wav")
    (tmp_path / "hf/test/metadata.csv").write_text("file_name,text\n1.wav,one\n")
    (tmp_path / "hf/train/metadata.csv").write_text("file_name,text\n1.wav,\n")
    with pytest.raises(DataError, match="train/metadata.csv:2: 1 of 1 utterances cannot be used"):
        import_data.main(["--format", "hf", str(tmp_path / "hf"), str(tmp_path / "made")])
    assert not (tmp_path / "made").exists()


# lhotse: the JSON is what lhotse 1.33 writes


def recording(key: str, **changes: Any) -> dict[str, Any]:
    sources = [{"type": "file", "channels": [0], "source": f"{key}.wav"}]
    fixed = {"id": key, "sources": sources, "sampling_rate": 16000, "num_samples": 32000, "duration": 2.0}
    return {**fixed, "channel_ids": [0], **changes}


def supervision(key: str, recording_id: str, **changes: Any) -> dict[str, Any]:
    fixed = {"id": key, "recording_id": recording_id, "start": 0, "duration": 2.0, "channel": 0}
    return {**fixed, "text": f"words of {key}", "language": "en", **changes}


def cut(key: str, recording: dict[str, Any], supervisions: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    fixed = {"id": key, "start": 0, "duration": 2.0, "channel": 0, "supervisions": supervisions, "recording": recording}
    return {**fixed, "type": "MonoCut", **changes}


def jsonl(path: Path, *records: object) -> Path:
    with gzip.open(path, "wt") if path.suffix == ".gz" else open(path, "w") as stream:
        stream.writelines(json.dumps(record) + "\n" for record in records)
    return path


@pytest.fixture
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file, a stereo file and a command as recordings, each with one supervision over all of it."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    audio(tmp_path, "a.wav", "st.wav")
    monkeypatch.chdir(tmp_path)  # what lhotse's paths are relative to
    stereo = [{"type": "file", "channels": [0, 1], "source": "st.wav"}]
    command = [{"type": "command", "channels": [0], "source": "cat a.wav"}]
    jsonl(
        folder / "recordings.jsonl.gz",
        recording("a"),
        recording("c", sources=command),
        recording("st", sources=stereo, channel_ids=[0, 1]),
    )
    jsonl(
        folder / "supervisions.jsonl.gz",
        supervision("s1", "a", speaker="ann", gender="female"),
        supervision("s2", "c", speaker="bob", gender="M"),
        supervision("s3", "st", speaker="ann", gender="female"),
    )
    return folder


def test_recordings_with_supervisions_become_a_directory(manifests: Path, tmp_path: Path) -> None:
    made = imported("lhotse", manifests, tmp_path / "data")
    assert made == {
        "text": {"ann-s1": "words of s1", "ann-s3": "words of s3", "bob-s2": "words of s2"},
        "wav.scp": {"ann-s1": f"{tmp_path}/a.wav", "ann-s3": f"{tmp_path}/st.wav", "bob-s2": "cat a.wav |"},
        "utt2spk": {"ann-s1": "ann", "ann-s3": "ann", "bob-s2": "bob"},
        "spk2utt": {"ann": "ann-s1 ann-s3", "bob": "bob-s2"},
        "utt2dur": {"ann-s1": "2.0", "ann-s3": "2.0", "bob-s2": "2.0"},
        "spk2gender": {"ann": "f", "bob": "m"},
    }


def test_files_can_be_named_in_any_order_and_their_audio_elsewhere(manifests: Path, tmp_path: Path) -> None:
    audio(tmp_path / "far", "a.wav", "st.wav")
    files = [manifests / "supervisions.jsonl.gz", manifests / "recordings.jsonl.gz"]
    made = imported("lhotse", "--audio-dir", tmp_path / "far", *files, tmp_path / "data")
    assert made["wav.scp"]["ann-s1"] == f"{tmp_path}/far/a.wav"


def test_supervisions_of_parts_become_segments(manifests: Path, tmp_path: Path) -> None:
    jsonl(
        manifests / "supervisions.jsonl.gz",
        supervision("s1", "a", start=0.25, duration=0.5),
        supervision("s2", "a", start=0.75, duration=1.2504),
        supervision("s3", "st", duration=1.9996),
    )
    made = imported("lhotse", manifests, tmp_path / "data")
    assert made["segments"] == {"s1": "a 0.25 0.75", "s2": "a 0.75 2.0", "s3": "st 0.0 1.9996"}
    assert made["wav.scp"] == {"a": f"{tmp_path}/a.wav", "st": f"{tmp_path}/st.wav"}


def test_cuts_are_their_supervisions(manifests: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    resampled = recording("a", transforms=[{"name": "Resample", "kwargs": {"sampling_rate": 16000}}])
    (manifests / "supervisions.jsonl.gz").unlink()
    jsonl(
        manifests / "train_cuts.jsonl",
        cut("c1", resampled, [supervision("s1", "a", start=0.25, duration=0.5)], start=0.5, duration=1.0),
        cut("c2", resampled, [supervision("s2", "a", start=-0.5)], start=0.5, duration=1.0),
        cut("c3", resampled, []),
    )
    made = imported("lhotse", manifests, tmp_path / "data")
    assert made["segments"] == {"s1": "a 0.75 1.25", "s2": "a 0.0 2.0"}
    assert "1 recordings have no supervision" in caplog.text


MAKERS: list[tuple[Callable[[Path], object], str]] = [
    (
        lambda folder: jsonl(folder / "supervisions.jsonl.gz", supervision("s1", "st", channel=1)),
        "supervisions.jsonl.gz:1: supervision 's1' is of channel 1; only 0, the first one, is read (split the audio",
    ),
    (
        lambda folder: jsonl(folder / "supervisions.jsonl.gz", supervision("s1", "st", channel=[0, 1])),
        "supervisions.jsonl.gz:1: supervision 's1' is of channel [0, 1]; only 0",
    ),
    (
        lambda folder: jsonl(folder / "recordings.jsonl.gz", recording("a", transforms=[{"name": "Speed"}])),
        "recordings.jsonl.gz:1: recording 'a' is not its audio as it is, but changed by Speed (save its audio first",
    ),
    (
        lambda folder: jsonl(
            folder / "recordings.jsonl.gz",
            recording("a", sources=[{"type": "url", "source": "s3://x", "channels": [0]}]),
        ),
        "recordings.jsonl.gz:1: recording 'a' is a 'url', not a file or a command (save its audio",
    ),
    (
        lambda folder: jsonl(folder / "recordings.jsonl.gz", {"id": "a", "sources": "a.wav", "duration": 1}),
        "recordings.jsonl.gz:1: has no 'sources' that is a list (is this a lhotse manifest?)",
    ),
    (
        lambda folder: jsonl(folder / "recordings.jsonl.gz", {"wav": "a.wav"}),
        "recordings.jsonl.gz:1: is no recording, supervision or cut of lhotse's",
    ),
    (
        lambda folder: jsonl(folder / "recordings.jsonl.gz", recording("other")),
        "utterances cannot be used, such as 's1', which has no audio for the recording 'a'",
    ),
    (
        lambda folder: (folder / "recordings.jsonl.gz").write_text("{}\n"),
        "recordings.jsonl.gz: is no whole gzip file: Not a gzipped file (b'{}') (take .gz from its name if it is not",
    ),
    (
        lambda folder: (folder / "recordings.jsonl.gz").write_bytes(
            (folder / "recordings.jsonl.gz").read_bytes()[:-20]
        ),
        "recordings.jsonl.gz: is no whole gzip file: ",
    ),
    (
        lambda folder: (folder / "recordings.jsonl.gz").rename(folder / "recordings.jsonl"),
        "recordings.jsonl:1: is not UTF-8 (name it .gz)",
    ),
    (
        lambda folder: jsonl(folder / "new_recordings.jsonl", recording("a")),
        "manifests: has several files of recordings: new_recordings.jsonl, recordings.jsonl.gz (name the files",
    ),
    (
        lambda folder: (folder / "recordings.jsonl.gz").unlink(),
        "manifests: has no recordings with supervisions and no cuts (lhotse calls them recordings.jsonl.gz",
    ),
]


@pytest.mark.parametrize(("change", "message"), MAKERS, ids=[message[:70] for _, message in MAKERS])
def test_a_manifest_that_is_not_as_it_should_be_is_named(
    manifests: Path, tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    change(manifests)
    with pytest.raises(DataError) as caught:
        import_data.main(["--format", "lhotse", str(manifests), str(tmp_path / "data")])
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("kind", ["MixedCut", "PaddingCut"])
def test_cuts_that_are_made_of_several_are_refused(manifests: Path, tmp_path: Path, kind: str) -> None:
    path = jsonl(manifests / "cuts.jsonl", {"id": "m", "tracks": [], "type": kind})
    with pytest.raises(DataError, match=f"cuts.jsonl:1: cut 'm' is a {kind} without a recording of its own"):
        import_data.main(["--format", "lhotse", str(path), str(tmp_path / "data")])


# the tool


def test_an_import_is_made_anew_and_other_folders_are_left_alone(tmp_path: Path) -> None:
    audio(tmp_path, "a.wav")
    (tmp_path / "table.csv").write_text("wav,text\na.wav,one\n")
    assert imported("csv", tmp_path / "table.csv", tmp_path / "data") == imported(
        "csv", tmp_path / "table.csv", tmp_path / "data"
    )
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/thesis").write_text("x")
    with pytest.raises(DataError, match="precious: is not a data directory and not empty"):
        import_data.main(["--format", "csv", str(tmp_path / "table.csv"), str(tmp_path / "precious")])


def test_the_tool_says_what_it_made(tmp_path: Path) -> None:
    audio(tmp_path, "a.wav", "b.wav")
    (tmp_path / "table.csv").write_text("wav,text\na.wav,one\nb.wav,two\n")
    result = run("--format", "csv", "table.csv", "data", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "INFO data: 2 utterances of 2 speakers\n" in result.stderr
    assert result.stderr.endswith("validate_data_dir.sh: Successfully validated data-directory data\n")


@pytest.mark.parametrize(
    ("content", "arguments", "line"),
    [
        ("wav,text\na.wav\n", "csv", "table.csv:2: has 1 fields where the headings are 2 (mend the line;"),
        ('wav,text\na.wav,"one" two\n', "csv", "table.csv:2: is malformed: ',' expected after '\"' (mend the line, or"),
        ('wav,text\na.wav,x\na.wav,"open\n', "csv", "table.csv:3: is malformed: unexpected end of data (mend the"),
        ("wav,words\n", "csv", "table.csv:1: has no column that looks like text (its columns are wav, words; name it"),
        ("wav,text,text\n", "csv", "table.csv:1: has the column 'text' twice (rename one of them)"),
        ("wav,text\n", "csv --columns text=said", "table.csv:1: has no column 'said' for text (its columns are wav,"),
        ("wav,text\n", "csv --columns said=text", "argument --columns: 'said=text' is not of the form audio=..,"),
        ("wav,text\n", "csv", "table.csv: holds no utterance"),
        ("", "csv", "table.csv: is empty (the first line names the columns)"),
        ("wav,text,end\na.wav,x,soon\n", "csv", "table.csv:2: has 'soon' for end, which is no number of seconds"),
        ("wav,text,end\na.wav,x,nan\n", "csv", "table.csv:2: has 'nan' for end, which is no number of seconds"),
        ("wav,text\na.wav,caf\udce9\n", "csv", "table.csv:2: is not UTF-8 (convert the file with iconv)"),
        ("", "hf", "folder: has no metadata.csv or metadata.jsonl, in it or in its subfolders (a folder of parquet"),
        ('{"file_name": "a.wav"}\n[1]\n', "jsonl", "metadata.jsonl:2: is no JSON object but a list (there must be"),
        ('\n{"file_name": \n', "jsonl", "metadata.jsonl:2: is no JSON: Expecting value at column 14 (there must be"),
        (
            '{"file_name": "a.wav"}\n',
            "jsonl",
            "metadata.jsonl:1: has no column that looks like text (its columns are f",
        ),
        (
            '{"file": "a.wav"}\n',
            "jsonl",
            "metadata.jsonl:1: has no column 'file_name' for audio (its columns are file)",
        ),
    ],
)
def test_malformed_input_gets_one_line_with_file_line_and_cure(
    tmp_path: Path, content: str, arguments: str, line: str
) -> None:
    audio(tmp_path, "a.wav")
    (tmp_path / "folder").mkdir()
    form, *options = arguments.split()
    source = {"csv": "table.csv", "hf": "folder", "jsonl": "folder"}[form]
    file = "folder/metadata.jsonl" if form == "jsonl" else "table.csv"
    (tmp_path / file).write_bytes(content.encode(errors="surrogateescape"))
    before = sorted(tmp_path.rglob("*"))
    result = run("--format", form.replace("jsonl", "hf"), *options, source, "data", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("import_data: ") and line in result.stderr, result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before, "left something behind"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("csv nowhere.csv data", "nowhere.csv: cannot read the file: No such file or directory"),
        ("lhotse nowhere.jsonl.gz data", "nowhere.jsonl.gz: cannot read the file: No such file or directory"),
        ("hf nowhere data", "nowhere: no such folder"),
        ("csv one.csv two.csv data", "--format csv takes one source (see --help)"),
        (
            "lhotse cuts.jsonl data --columns audio=path",
            "--columns and --quotes are of tables: --format lhotse has none",
        ),
        ("parquet a data", "argument --format: invalid choice: 'parquet'"),
    ],
)
def test_a_wrong_call_gets_one_line_and_status_1(tmp_path: Path, arguments: str, line: str) -> None:
    result = run("--format", *arguments.split(), cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"import_data: {line}") and result.stderr.count("\n") == 1


def test_quotes_can_be_characters(tmp_path: Path) -> None:
    audio(tmp_path, "a.mp3", "b.mp3")
    (tmp_path / "cv.tsv").write_text('path\tsentence\na.mp3\t"Well" he said\nb.mp3\t"open\n')
    made = imported("csv", "--quotes", "none", tmp_path / "cv.tsv", tmp_path / "data")
    assert made["text"] == {"a": '"Well" he said', "b": '"open'}
    audio(tmp_path / "hf", "a.mp3", "b.mp3")
    (tmp_path / "hf/metadata.csv").write_text('file_name,sentence\na.mp3,"Well" he said\nb.mp3,"open\n')
    assert imported("hf", "--quotes", "none", tmp_path / "hf", tmp_path / "of_hf")["text"] == made["text"]


def test_the_tool_starts_without_numpy_in_a_fraction_of_a_second(tmp_path: Path) -> None:
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        assert run("--help", cwd=tmp_path).returncode == 0
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.3
    code = "import sys, wenet_lite.bin.import_data; assert not {'torch', 'numpy', 'soundfile'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.fspath(PROJECT)}, check=True)


@pytest.fixture(autouse=True)
def _log_all(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
