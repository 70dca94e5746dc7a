"""Kaldi data directories: what is written is read back, what is broken is named, nothing is lost in silence."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenet_lite.data import kaldi_subset
from wenet_lite.data.kaldi import read_table, spk2utt_from, utt2spk_from, write_table
from wenet_lite.data.kaldi_combine import combine
from wenet_lite.data.kaldi_durations import utt2dur
from wenet_lite.data.kaldi_fix import fix
from wenet_lite.data.kaldi_subset import subset, subset_by_speakers, subset_by_utterances
from wenet_lite.data.kaldi_validate import validate
from wenet_lite.errors import DataError

# Unicode blanks belong to a word; ASCII blanks and line breaks cannot
WORDS = st.text(st.characters(exclude_characters="\t\n\v\f\r ", exclude_categories=["Cs"]), min_size=1)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {os.fspath(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def append(path: Path, line: str) -> None:
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(line)


def replace(path: Path, old: str, new: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new, 1), encoding="utf-8")


# tables


@given(st.dictionaries(WORDS, st.lists(WORDS).map(" ".join)))
def test_a_table_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, table: dict[str, str]) -> None:
    path = tmp_path_factory.getbasetemp() / "table"
    write_table(path, table)
    assert read_table(path) == table
    keys = [line.split(b" ")[0] for line in path.read_bytes().split(b"\n")[:-1]]
    assert keys == sorted(keys), "not in the byte order of LC_ALL=C"
    assert not path.read_bytes() or path.read_bytes().endswith(b"\n")


@given(st.dictionaries(WORDS, WORDS, min_size=1))
def test_spk2utt_and_utt2spk_are_inverse(utt2spk: dict[str, str]) -> None:
    assert utt2spk_from(spk2utt_from(utt2spk)) == utt2spk


def test_an_utterance_of_two_speakers_is_an_error() -> None:
    with pytest.raises(DataError, match="'u1' belongs to 'a' and to 'b'"):
        utt2spk_from({"a": "u1 u2", "b": "u1"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a 1\nb 2\na 3\n", ":3: has the key 'a' a second time"),
        (b"a 1\n\nb 2\n", ":2: is an empty line"),
        (b"a 1\nb \xff\n", ":2: is not UTF-8"),
    ],
)
def test_a_malformed_table_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{path}{message}"):
        read_table(path)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: cannot read the file: No such file"):
        read_table(tmp_path / "nowhere")


@pytest.mark.parametrize("table", [{"a b": "1"}, {"": "1"}, {"a": "1", "b": "2\n3"}])
def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, table: dict[str, str]) -> None:
    path = tmp_path / "text"
    write_table(path, {"old": "line"})
    with pytest.raises(DataError):
        write_table(path, table)
    assert snapshot(tmp_path) == {"text": b"old line\n"}


# validate


def test_a_valid_directory_passes(data_dir: Path) -> None:
    validate(data_dir, no_feats=True)


def unsort(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        lines = (folder / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(reversed(lines)))

    return change


def add(name: str, line: str) -> Callable[[Path], None]:
    return lambda folder: append(folder / name, line)


def change(name: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: replace(folder / name, old, new)


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def write(name: str, content: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text(content, encoding="utf-8")

    return change


SEGMENTS = "".join(f"{speaker}-{i} reco-{speaker} {i} {i + 1}\n" for speaker in ("ann", "bob") for i in range(3))
DIFFER = "\nvalidate_data_dir.sh: differ, partial diff is:\n"

BROKEN = [
    (remove("utt2spk"), "no such file utt2spk"),
    (remove("spk2utt"), "no such file spk2utt"),
    (write("utt2spk", ""), "empty file utt2spk"),
    (change("utt2spk", "ann-0 ann", "ann-0 ann x"), "D/utt2spk has wrong format."),
    (unsort("text"), "file D/text is not sorted or has duplicates"),
    (add("text", "bob-2 again\n"), "file D/text is not sorted or has duplicates"),
    (unsort("utt2spk"), "file D/utt2spk is not sorted or has duplicates"),
    (add("text", "carl-0"), "file D/text has invalid newline"),
    (change("utt2spk", "ann-0 ann", "ann-0 zoe"), "utt2spk is not in sorted order when sorted first on speaker-id "),
    (change("utt2spk", "ann-0 ann", "ann-0 zoe"), "(fix this by making speaker-ids prefixes of utt-ids)"),
    (change("spk2utt", "ann-0 ", ""), "spk2utt and utt2spk do not seem to match"),
    (remove("text"), "no such file D/text (if this is by design, specify --no-text)"),
    (remove("wav.scp"), "no such file D/wav.scp (if this is by design, specify --no-wav)"),
    (change("text", "words", "wo\x01rds"), "text contains 1 lines with non-printable characters"),
    (change("text", "words", "wo\r"), "The line for utterance ann-0 contains CR (0x0D) character"),
    (change("text", "words", "wo\u3000rds"), "contains disallowed Unicode whitespaces"),
    (change("text", "words", "<s> words"), "Error: in D, text contains illegal symbol <s>"),
    (change("text", "words", "a </s>"), "Error: in D, text contains illegal symbol </s>"),
    (change("text", "words", "#0"), "Error: in D, text contains illegal symbol #0"),
    (add("text", "carl-0 x\n"), "Error: in D, utterance lists extracted from utt2spk and text" + DIFFER),
    (add("text", "carl-0 x\n"), "\n+carl-0\n...\n[Lengths are D/utt2spk=6 versus D/text=7]"),
    (add("wav.scp", "carl-0 x\n"), "Error: in D, utterance lists extracted from utt2spk and wav.scp" + DIFFER),
    (change("wav.scp", " /corpus", " ~/corpus"), "Please do not use tilde (~) in your wav.scp."),
    (change("utt2dur", " 1.5", " 0"), "Bad line utt2dur:1:ann-0 0"),
    (change("utt2dur", " 1.5", " nan"), "Bad line utt2dur:1:ann-0 nan"),
    (add("utt2dur", "carl-0 1\n"), "utterance-ids extracted from utt2spk and utt2dur file" + DIFFER),
    (write("utt2num_frames", "ann-0 1\n"), "utterance-ids extracted from utt2spk and utt2num_frames file" + DIFFER),
    (change("spk2gender", " f", " female"), "Mal-formed spk2gender file"),
    (add("spk2gender", "carl m\n"), "speaker lists extracted from spk2utt and spk2gender" + DIFFER),
    (write("utt2uniq", "ann-0 a\n"), "error: in D, utt2uniq and utt2spk do not have identical utterance-id list"),
    (write("feats.scp", "ann-0 a\n"), "utterance-ids extracted from utt2spk and features" + DIFFER),
    (write("segments", SEGMENTS), "Error: in D, recording-ids extracted from segments and wav.scp" + DIFFER),
    (write("segments", SEGMENTS.replace("0 1", "1 0", 1)), "Bad line in segments file ann-0 reco-ann 1 0"),
    (write("segments", SEGMENTS.replace("bob-2", "bob-3")), "Utterance list differs between D/utt2spk and D/segments"),
]


@pytest.mark.parametrize(("breakage", "message"), BROKEN, ids=[message[:60] for _, message in BROKEN])
def test_each_broken_rule_is_told_in_kaldis_words(
    data_dir: Path, breakage: Callable[[Path], None], message: str
) -> None:
    breakage(data_dir)
    with pytest.raises(DataError) as caught:
        validate(data_dir, no_feats=True)
    assert str(caught.value).startswith("validate_data_dir.sh: ")
    assert message.replace("D/", f"{data_dir}/").replace(" D,", f" {data_dir},") in str(caught.value)


def test_segments_without_wav_scp_are_an_error(data_dir: Path) -> None:
    (data_dir / "segments").write_text(SEGMENTS)
    (data_dir / "wav.scp").unlink()
    with pytest.raises(DataError, match="segments file exists but no wav.scp"):
        validate(data_dir, no_feats=True, no_wav=True)


def test_wav_scp_and_what_belongs_to_it_are_keyed_by_recording_where_there_are_segments(data_dir: Path) -> None:
    (data_dir / "segments").write_text(SEGMENTS)
    (data_dir / "wav.scp").write_text("reco-ann a.wav\nreco-bob b.wav\n")
    (data_dir / "reco2file_and_channel").write_text("reco-ann a A\nreco-bob b B\n")
    (data_dir / "reco2dur").write_text("reco-ann 3\nreco-bob 3\n")
    validate(data_dir, no_feats=True)
    append(data_dir / "reco2dur", "reco-x 1\n")
    with pytest.raises(DataError, match="recording-ids extracted from segments and reco2dur"):
        validate(data_dir, no_feats=True)


def test_options_excuse_what_they_name(data_dir: Path) -> None:
    replace(data_dir / "text", "words", "wo\x01rds")
    validate(data_dir, no_feats=True, non_print=True)
    (data_dir / "text").unlink()
    (data_dir / "wav.scp").unlink()
    validate(data_dir, no_feats=True, no_text=True, no_wav=True)
    with pytest.raises(DataError, match="feats.scp"):
        validate(data_dir, no_text=True, no_wav=True)


def test_speakers_that_are_no_prefixes_pass_with_no_spk_sort(data_dir: Path) -> None:
    utt2spk = {**read_table(data_dir / "utt2spk"), "ann-0": "zoe"}
    write_table(data_dir / "utt2spk", utt2spk)
    write_table(data_dir / "spk2utt", spk2utt_from(utt2spk))
    (data_dir / "spk2gender").unlink()
    validate(data_dir, no_feats=True, no_spk_sort=True)


@pytest.mark.parametrize("text", ["naïve café", "語言 模型", "می\u200cخواهم", "don't #00 <sil>"])
def test_words_of_any_script_pass(data_dir: Path, text: str) -> None:
    replace(data_dir / "text", "words", text)
    validate(data_dir, no_feats=True)


def test_one_speaker_is_a_warning_only(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    (data_dir / "one").write_text("ann\n")
    subset_by_speakers(data_dir, data_dir / "one", data_dir / "part")
    validate(data_dir / "part", no_feats=True)
    assert "WARNING: you have only one speaker." in caplog.text


@pytest.mark.slow
def test_a_million_utterances_are_validated_in_twenty_seconds(tmp_path: Path) -> None:
    utt2spk = {f"speaker{i // 200:05d}-{i:07d}": f"speaker{i // 200:05d}" for i in range(1_000_000)}
    write_table(tmp_path / "utt2spk", utt2spk)
    write_table(tmp_path / "spk2utt", spk2utt_from(utt2spk))
    for name, value in {"text": "SOME TWELVE WORDS OR SO THAT ARE READ FROM A BOOK", "utt2dur": "12.34"}.items():
        write_table(tmp_path / name, dict.fromkeys(utt2spk, value))
    write_table(tmp_path / "wav.scp", {key: f"/corpus/train/{key}.flac" for key in utt2spk})
    start = time.perf_counter()
    validate(tmp_path, no_feats=True)
    assert time.perf_counter() - start < 20


# fix


def test_fix_keeps_what_all_files_have_and_lists_the_rest(data_dir: Path) -> None:
    before = snapshot(data_dir)
    unsort("text")(data_dir)
    replace(data_dir / "wav.scp", "ann-1 /corpus/ann-1.flac\n", "")
    replace(data_dir / "utt2dur", "bob-2 6.5", "bob-2 0")
    append(data_dir / "text", "carl-0 of nobody\n")
    fixed = fix(data_dir)
    validate(data_dir, no_feats=True)
    assert sorted(read_table(data_dir / "utt2spk")) == ["ann-0", "ann-2", "bob-0", "bob-1"]
    assert fixed.left_out == read_table(data_dir / ".backup/left_out")
    assert fixed.left_out == {
        "ann-1": "not in wav.scp",
        "bob-2": "not above 0 in utt2dur",
        "carl-0": "in text but not in utt2spk",
    }
    assert (data_dir / ".backup/utt2spk").read_bytes() == before["utt2spk"]


def test_fix_leaves_a_valid_directory_as_it_is(data_dir: Path) -> None:
    before = snapshot(data_dir)
    fix(data_dir)
    assert {name: content for name, content in snapshot(data_dir).items() if ".backup" not in name} == before


def test_fix_drops_speakers_without_gender_and_makes_spk2utt_anew(data_dir: Path) -> None:
    (data_dir / "spk2gender").write_text("bob m\n")
    (data_dir / "spk2utt").unlink()
    fix(data_dir)
    assert read_table(data_dir / "spk2utt") == {"bob": "bob-0 bob-1 bob-2"}
    validate(data_dir, no_feats=True)


def test_fix_follows_recordings_through_segments(data_dir: Path) -> None:
    (data_dir / "segments").write_text(SEGMENTS)
    (data_dir / "wav.scp").write_text("reco-bob b.wav\nreco-none c.wav\n")
    fix(data_dir)
    validate(data_dir, no_feats=True)
    assert list(read_table(data_dir / "text")) == ["bob-0", "bob-1", "bob-2"]
    assert read_table(data_dir / "wav.scp") == {"reco-bob": "b.wav"}


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (write("text", "nobody x\n"), "fix_data_dir.sh: no utterances remained: not proceeding further."),
        (change("utt2spk", "ann-0 ann", "ann-0 bob"), "fix this by making speaker-ids prefixes of utt-ids"),
        (write("segments", "bob-0 reco\n"), "Bad line in segments file"),
        (remove("utt2spk"), "no such file D/utt2spk"),
    ],
)
def test_what_fix_cannot_mend_is_left_untouched(data_dir: Path, breakage: Callable[[Path], None], message: str) -> None:
    breakage(data_dir)
    before = snapshot(data_dir)
    with pytest.raises(DataError) as caught:
        fix(data_dir)
    assert message.replace("D/", f"{data_dir}/") in str(caught.value)
    assert snapshot(data_dir) == before


def test_a_link_to_a_directory_elsewhere_stays_a_link(data_dir: Path, tmp_path: Path) -> None:
    disk, link = tmp_path / "disk", tmp_path / "linked" / "train"
    for folder in (disk, link.parent):
        folder.mkdir()
    link.symlink_to(disk / "train")
    for number in (6, 2, 4):
        subset(data_dir, number, link, kaldi_subset.first)
        assert link.is_symlink() and len(read_table(disk / "train/utt2spk")) == number
        assert [entry.name for folder in (disk, link.parent) for entry in folder.iterdir()] == ["train", "train"]


# subset

CHOICES = [
    kaldi_subset.drawn,
    kaldi_subset.first,
    kaldi_subset.last,
    kaldi_subset.shortest,
    kaldi_subset.per_speaker,
    kaldi_subset.whole_speakers,
]


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("number", [1, 2, 3, 5, 6])
def test_every_subset_is_valid_and_the_same_each_time(
    data_dir: Path, tmp_path: Path, choice: kaldi_subset.Choice, number: int
) -> None:
    for name in ("one", "two"):
        subset(data_dir, number, tmp_path / name, choice)
        validate(tmp_path / name, no_feats=True)
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")
    kept = read_table(tmp_path / "one/utt2spk")
    if choice is kaldi_subset.per_speaker:
        assert list(kept.values()).count("ann") == list(kept.values()).count("bob") == min(number, 3)
    elif choice is kaldi_subset.whole_speakers:
        assert len(kept) in (3, 6) and number <= len(kept) < number + 3
    else:
        assert len(kept) == number


def test_first_last_and_shortest_are_what_they_say(data_dir: Path, tmp_path: Path) -> None:
    replace(data_dir / "utt2dur", "bob-1 5.5", "bob-1 0.5")
    kept = {}
    for choice in (kaldi_subset.first, kaldi_subset.last, kaldi_subset.shortest):
        subset(data_dir, 2, tmp_path / "part", choice)
        kept[choice] = list(read_table(tmp_path / "part/text"))
    assert list(kept.values()) == [["ann-0", "ann-1"], ["bob-1", "bob-2"], ["ann-0", "bob-1"]]


def test_a_subset_by_list_warns_of_unknown_ids(
    data_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "list").write_text("bob-1\nbob-9\n")
    subset_by_utterances(data_dir, tmp_path / "list", tmp_path / "part")
    assert read_table(tmp_path / "part/spk2utt") == {"bob": "bob-1"}
    assert "1 utterances of" in caplog.text and "bob-9" in caplog.text


def test_a_subset_follows_segments_to_recordings(data_dir: Path, tmp_path: Path) -> None:
    (data_dir / "segments").write_text(SEGMENTS)
    (data_dir / "wav.scp").write_text("reco-ann a.wav\nreco-bob b.wav\n")
    subset(data_dir, 2, tmp_path / "part", kaldi_subset.first)
    validate(tmp_path / "part", no_feats=True)
    assert read_table(tmp_path / "part/wav.scp") == {"reco-ann": "a.wav"}


def test_a_subset_cannot_be_larger_than_the_whole(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot subset to more utterances than you originally had."):
        subset(data_dir, 7, tmp_path / "part", kaldi_subset.drawn)
    assert not (tmp_path / "part").exists()


def test_a_folder_that_is_no_data_directory_is_never_deleted(data_dir: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis").write_text("x")
    for action in (
        lambda: subset(data_dir, 1, precious, kaldi_subset.first),
        lambda: combine(precious, [data_dir]),
    ):
        with pytest.raises(DataError, match="is not a data directory and not empty"):
            action()
    assert snapshot(precious) == {"thesis": b"x"}
    with pytest.raises(DataError, match="same directory"):
        subset(data_dir, 1, data_dir, kaldi_subset.first)
    with pytest.raises(DataError, match="both destination and source"):
        combine(data_dir, [data_dir])


# combine


@pytest.mark.parametrize("skip_fix", [False, True])
def test_parts_combined_are_the_whole_again(data_dir: Path, tmp_path: Path, skip_fix: bool) -> None:
    subset(data_dir, 2, tmp_path / "a", kaldi_subset.first)
    subset(data_dir, 4, tmp_path / "b", kaldi_subset.last)
    before = snapshot(data_dir)
    combine(tmp_path / "whole", [tmp_path / "b", tmp_path / "a"], skip_fix=skip_fix)
    assert snapshot(tmp_path / "whole") == before
    combine(tmp_path / "whole", [tmp_path / "b"], skip_fix=skip_fix)  # made anew, not added to
    assert snapshot(tmp_path / "whole") == snapshot(tmp_path / "b")


def test_combine_merges_only_what_every_source_has(
    data_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    subset(data_dir, 3, tmp_path / "a", kaldi_subset.first)
    subset(data_dir, 3, tmp_path / "b", kaldi_subset.last)
    (tmp_path / "b/utt2dur").unlink()
    (tmp_path / "a/notes").write_text("ann-0 x\n")
    (tmp_path / "b/notes").write_text("other y\n")
    (tmp_path / "b/utt2uniq").write_text("bob-0 u\nbob-1 u\nbob-2 v\n")
    combine(tmp_path / "c", [tmp_path / "a", tmp_path / "b"], extra_files=["notes"])
    assert "combine_data.sh [info]: **not combining utt2dur as it does not exist everywhere**" in caplog.text
    assert "combine_data.sh: combined text" in caplog.text
    assert not (tmp_path / "c/utt2dur").exists()
    assert read_table(tmp_path / "c/notes") == {"ann-0": "x", "other": "y"}
    assert read_table(tmp_path / "c/utt2uniq") == {
        "ann-0": "ann-0", "ann-1": "ann-1", "ann-2": "ann-2", "bob-0": "u", "bob-1": "u", "bob-2": "v",
    }  # fmt: skip


def test_combine_makes_segments_up_for_sources_without(data_dir: Path, tmp_path: Path) -> None:
    subset(data_dir, 3, tmp_path / "a", kaldi_subset.first)
    subset(data_dir, 3, tmp_path / "b", kaldi_subset.last)
    (tmp_path / "b/segments").write_text("".join(SEGMENTS.splitlines(keepends=True)[3:]))
    (tmp_path / "b/wav.scp").write_text("reco-bob b.wav\n")
    combine(tmp_path / "c", [tmp_path / "a", tmp_path / "b"])
    validate(tmp_path / "c", no_feats=True)
    segments = read_table(tmp_path / "c/segments")
    assert segments["ann-1"] == "ann-1 0 2.5" and segments["bob-1"] == "reco-bob 1 2"


def test_sources_that_disagree_are_an_error_and_the_old_directory_stays(data_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(data_dir, tmp_path / "other")
    combine(tmp_path / "c", [data_dir, tmp_path / "other"])  # the same records twice are one
    assert snapshot(tmp_path / "c") == snapshot(data_dir)
    replace(tmp_path / "other/text", "words of bob-1", "other words")
    with pytest.raises(DataError, match=r"other/text: 'bob-1' is 'other words' \(an earlier directory has"):
        combine(tmp_path / "c", [data_dir, tmp_path / "other"])
    assert snapshot(tmp_path / "c") == snapshot(data_dir)


# utt2dur


def test_utt2dur_tells_the_seconds_of_real_files(data_dir: Path) -> None:
    np = pytest.importorskip("numpy")
    soundfile = pytest.importorskip("soundfile")
    samples = {utterance: 1000 * number for number, utterance in enumerate(read_table(data_dir / "utt2spk"), 1)}
    for utterance, length in samples.items():
        soundfile.write(data_dir / f"{utterance}.flac", np.zeros(length, dtype=np.int16), 16000)
    write_table(data_dir / "wav.scp", {utterance: f"{data_dir}/{utterance}.flac" for utterance in samples})
    (data_dir / "utt2dur").unlink()
    utt2dur(data_dir, jobs=2)
    durations = {utterance: float(seconds) for utterance, seconds in read_table(data_dir / "utt2dur").items()}
    assert durations == pytest.approx({utterance: length / 16000 for utterance, length in samples.items()}, abs=1e-6)
    (data_dir / "ann-1.flac").write_bytes(b"no audio")
    (data_dir / "utt2dur").unlink()
    with pytest.raises(DataError, match="ann-1.flac"):
        utt2dur(data_dir)
    assert not (data_dir / "utt2dur").exists()


def test_utt2dur_follows_segments(data_dir: Path) -> None:
    (data_dir / "utt2dur").unlink()
    (data_dir / "segments").write_text(SEGMENTS.replace("bob-1 reco-bob 1 2", "bob-1 reco-bob 1.2 2.95"))
    utt2dur(data_dir)
    assert float(read_table(data_dir / "utt2dur")["bob-1"]) == pytest.approx(1.75)


def test_the_duration_of_a_piped_command_is_not_guessed(data_dir: Path) -> None:
    (data_dir / "utt2dur").unlink()
    replace(data_dir / "wav.scp", "/corpus/ann-1.flac", "flac -c -d -s ann-1.flac |")
    with pytest.raises(DataError, match="'ann-1', a piped command"):
        utt2dur(data_dir)
