"""Every message of Kaldi's data-directory tools that people grep for, to the letter, as the tools print it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wenet_lite.data.kaldi import read_table, write_table
from wenet_lite.data.kaldi_validate import validate
from wenet_lite.errors import DataError

TOOLS = Path(__file__).resolve().parents[2] / "tools"
VALIDATE = TOOLS / "validate_data_dir.sh"
FIX = TOOLS / "fix_data_dir.sh"
SUBSET = TOOLS / "subset_data_dir.sh"
COMBINE = TOOLS / "combine_data.sh"
SEGMENTS = {f"{speaker}-{i}": f"reco-{speaker} {i} {i + 1}" for speaker in ("ann", "bob") for i in range(3)}
Change = Callable[[Path], object]


def run(tool: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    command = [os.fspath(tool), *map(str, arguments)]
    return subprocess.run(command, check=False, cwd=cwd, env=environment, capture_output=True, text=True)


def write(name: str, content: str) -> Change:
    return lambda folder: (folder / name).write_text(content, encoding="utf-8")


def remove(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def change(name: str, old: str, new: str) -> Change:
    def edit(folder: Path) -> None:
        content = (folder / name).read_text()
        assert old in content
        (folder / name).write_text(content.replace(old, new, 1), encoding="utf-8")

    return edit


def reverse(name: str) -> Change:
    def edit(folder: Path) -> None:
        (folder / name).write_text("".join(reversed((folder / name).read_text().splitlines(keepends=True))))

    return edit


def segment(folder: Path) -> None:
    """Make the utterances segments of two recordings."""
    write_table(folder / "segments", SEGMENTS)
    write_table(folder / "wav.scp", {"reco-ann": "a.wav", "reco-bob": "b.wav"})


def segment_and(edit: Change) -> Change:
    def both(folder: Path) -> None:
        segment(folder)
        edit(folder)

    return both


# validate_data_dir.sh

VALIDATE_MESSAGES: list[tuple[Change, str]] = [
    (remove("spk2utt"), "$0: no such file spk2utt"),
    (remove("utt2spk"), "$0: no such file utt2spk"),
    (write("spk2utt", ""), "$0: empty file spk2utt"),
    (write("utt2spk", ""), "$0: empty file utt2spk"),
    (change("utt2spk", "ann-0 ann", "ann-0"), "$0: data/utt2spk has wrong format."),
    (reverse("wav.scp"), "$0: file data/wav.scp is not sorted or has duplicates"),
    (reverse("spk2utt"), "$0: file data/spk2utt is not sorted or has duplicates"),
    (write("utt2dur", "ann-0 1"), "file data/utt2dur has invalid newline"),
    (
        change("utt2spk", "ann-0 ann", "ann-0 zoe"),
        "$0: utt2spk is not in sorted order when sorted first on speaker-id "
        "(fix this by making speaker-ids prefixes of utt-ids)\n",
    ),
    (change("spk2utt", "ann-0 ann-1", "ann-1 ann-0"), "$0: spk2utt and utt2spk do not seem to match"),
    (change("spk2utt", "bob bob-0", "aaa\nbob bob-0"), "$0: file data/spk2utt is not sorted or has duplicates"),
    (change("spk2utt", "bob bob-0", "bea\nbob bob-0"), "$0: spk2utt and utt2spk do not seem to match"),
    (remove("text"), "$0: no such file data/text (if this is by design, specify --no-text)\n"),
    (remove("wav.scp"), "$0: no such file data/wav.scp (if this is by design, specify --no-wav)\n"),
    (
        lambda folder: [change("text", "words", "\x7f")(folder), change("text", "words", "\x01 \u0378")(folder)],
        "$0: text contains 2 lines with non-printable characters",
    ),
    (change("text", "words", "<s>"), "$0: Error: in data, text contains illegal symbol <s>"),
    (change("text", "words", "a </s> b"), "$0: Error: in data, text contains illegal symbol </s>"),
    (change("text", "words", "#0"), "$0: Error: in data, text contains illegal symbol #0"),
    (
        change("text", "ann-0", "ann-00"),
        "$0: Error: in data, utterance lists extracted from utt2spk and text\n$0: differ, partial diff is:\n",
    ),
    (segment_and(remove("wav.scp")), "$0: in directory data, segments file exists but no wav.scp\n"),
    (segment_and(change("segments", " 0 1", " 1 1")), "$0: Bad line in segments file ann-0 reco-ann 1 1"),
    (segment_and(change("segments", " 0 1", " 0")), "$0: Bad line in segments file ann-0 reco-ann 0"),
    (segment_and(change("segments", " 0 1", " 0 inf")), "$0: Bad line in segments file ann-0 reco-ann 0 inf"),
    (change("wav.scp", "/corpus", "~/corpus"), "$0: Please do not use tilde (~) in your wav.scp.\n"),
    (
        segment_and(write("reco2dur", "reco-ann 1\n")),
        "$0: Error: in data, recording-ids extracted from segments and reco2dur file\n$0: differ",
    ),
    (segment_and(write("reco2dur", "reco-ann 1\nreco-bob 0\n")), "$0: Bad line : reco-bob 0"),
    (segment_and(write("reco2file_and_channel", "reco-ann a A\nreco-bob b C\n")), "$0: Bad line reco-bob b C"),
    (write("utt2num_frames", "".join(f"{key} 1.5\n" for key in SEGMENTS)), "$0: Bad line utt2num_frames:1:ann-0 1.5"),
    (write("cmvn.scp", "ann a:1\n"), "$0: Error: in data, speaker lists extracted from spk2utt and cmvn\n$0: differ"),
    (
        write("vad.scp", "ann-0 a:1\n"),
        "$0: error: in data, vad.scp and utt2spk do not have identical utterance-id list",
    ),
    (
        write("utt2lang", "ann-0 en\n"),
        "$0: error: in data, utt2lang and utt2spk do not have identical utterance-id list",
    ),
]


@pytest.mark.parametrize(("edit", "message"), VALIDATE_MESSAGES, ids=[text[:70] for _, text in VALIDATE_MESSAGES])
def test_validate_prints_its_name_and_kaldis_message_and_exits_1(data_dir: Path, edit: Change, message: str) -> None:
    edit(data_dir)
    result = run(VALIDATE, "--no-feats", "data", cwd=data_dir.parent)
    assert (result.returncode, result.stdout) == (1, "")
    expected = message.replace("$0", os.fspath(VALIDATE))
    assert result.stderr.startswith(f"{VALIDATE}: ")
    assert result.stderr.removeprefix("" if message.startswith("$0") else f"{VALIDATE}: ").startswith(expected)


def test_validate_wants_features_and_says_how_to_do_without(data_dir: Path) -> None:
    result = run(VALIDATE, "data", cwd=data_dir.parent)
    message = "no such file data/feats.scp (if this is by design, specify --no-feats)"
    assert (result.returncode, result.stderr) == (1, f"{VALIDATE}: {message}\n")


@pytest.mark.parametrize("arguments", ["--no-feats data", "data --no-feats", "--no-text data --no-feats"])
def test_options_of_validate_may_follow_the_directory(data_dir: Path, arguments: str) -> None:
    result = run(VALIDATE, *arguments.split(), cwd=data_dir.parent)
    assert result.stdout == f"{VALIDATE}: Successfully validated data-directory data\n"
    assert (result.returncode, result.stderr) == (0, "")


def test_one_speaker_is_a_warning_only(data_dir: Path) -> None:
    folder = data_dir.parent
    run(SUBSET, "--first", "data", "3", "one", cwd=folder)
    result = run(VALIDATE, "--no-feats", "one", cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{VALIDATE}: WARNING: you have only one speaker.  This probably a bad idea.\n")


def test_a_partial_diff_has_six_lines_of_head_and_six_of_tail(tmp_path: Path) -> None:
    keys = [f"u{number:02d}" for number in range(30)]
    for name in ("utt2spk", "spk2utt"):
        write_table(tmp_path / name, {key: key for key in keys})
    write_table(tmp_path / "text", dict.fromkeys(keys[20:], "words"))
    with pytest.raises(DataError) as caught:
        validate(tmp_path, no_feats=True, no_wav=True)
    _, differ, *diff = str(caught.value).split("\n")
    assert differ == "validate_data_dir.sh: differ, partial diff is:"
    assert diff[:2] == [f"--- {tmp_path}/utt2spk", f"+++ {tmp_path}/text"]
    assert diff[2:6] == ["-u00", "-u01", "-u02", "-u03"]
    assert diff[6:-1] == ["...", "-u14", "-u15", "-u16", "-u17", "-u18", "-u19"]
    assert diff[-1] == f"[Lengths are {tmp_path}/utt2spk=30 versus {tmp_path}/text=10]"


# fix_data_dir.sh


def test_fix_copies_what_it_mends_and_says_what_it_sorts(data_dir: Path) -> None:
    reverse("utt2spk")(data_dir)
    change("text", "ann-1 words of ann-1\n", "ann-1 words of ann-1\nann-1 again\n")(data_dir)
    before = {path.name: path.read_bytes() for path in data_dir.iterdir()}
    result = run(FIX, "data", cwd=data_dir.parent)
    assert (result.returncode, result.stderr) == (0, "")
    for name in ("utt2spk", "text"):
        assert f"{FIX}: file data/{name} is not in sorted order or not unique, sorting it\n" in result.stdout
    assert result.stdout.count("sorting it") == 2
    assert "fix_data_dir.sh: kept all 6 utterances.\n" in result.stdout
    assert result.stdout.endswith("fix_data_dir.sh: old files are kept in data/.backup\n")
    assert {path.name: path.read_bytes() for path in (data_dir / ".backup").iterdir()} == before
    assert read_table(data_dir / "text")["ann-1"] == "words of ann-1", "sort -u keeps the first"


def test_fix_counts_what_it_keeps(data_dir: Path) -> None:
    (data_dir / "utt2num_frames").write_text("ann-0 10\nann-1 0\nbob-2 5\n")
    assert "fix_data_dir.sh: kept 2 utterances out of 6\n" in run(FIX, "data", cwd=data_dir.parent).stdout
    assert list(read_table(data_dir / "wav.scp")) == ["ann-0", "bob-2"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (write("text", "zoe-0 words\n"), "fix_data_dir.sh: no utterances remained: not proceeding further."),
        (
            change("utt2spk", "ann-0 ann", "ann-0 bob"),
            "fix_data_dir.sh: utt2spk is not in sorted order when sorted first on speaker-id "
            "(fix this by making speaker-ids prefixes of utt-ids)",
        ),
    ],
)
def test_fix_says_what_it_cannot_mend(data_dir: Path, edit: Change, message: str) -> None:
    edit(data_dir)
    result = run(FIX, "data", cwd=data_dir.parent)
    assert result.returncode == 1 and message in result.stderr and result.stderr.count("\n") == 1


# subset_data_dir.sh


@pytest.mark.parametrize("option", [[], ["--speakers"], ["--shortest"], ["--first"], ["--last"], ["--per-spk"]])
def test_no_subset_is_larger_than_the_whole(data_dir: Path, option: list[str]) -> None:
    result = run(SUBSET, *option, "data", "7", "part", cwd=data_dir.parent)
    message = "cannot subset to more utterances than you originally had."
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"{SUBSET}: {message}\n")
    assert not (data_dir.parent / "part").exists()


# combine_data.sh


def test_combine_tells_of_each_file(data_dir: Path) -> None:
    folder = data_dir.parent
    run(SUBSET, "--first", "data", "3", "a", cwd=folder)
    run(SUBSET, "--last", "data", "3", "b", cwd=folder)
    (folder / "a/utt2lang").write_text("".join(f"ann-{number} en\n" for number in range(3)))
    (folder / "b/utt2uniq").write_text("".join(f"bob-{number} {number}\n" for number in range(3)))
    result = run(COMBINE, "all", "a", "b", cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"{COMBINE} [info]: **not combining utt2lang as it does not exist everywhere**\n" in result.stdout
    assert f"{COMBINE} [info]: not combining segments as it does not exist\n" in result.stdout
    for name in ("utt2uniq", "utt2spk", "text", "wav.scp", "utt2dur", "spk2gender"):
        assert f"{COMBINE}: combined {name}\n" in result.stdout
    assert "fix_data_dir.sh: kept all 6 utterances.\n" in result.stdout
    assert read_table(folder / "all/utt2uniq")["ann-0"] == "ann-0"


def test_combine_makes_segments_up_and_says_so(data_dir: Path) -> None:
    folder = data_dir.parent
    run(SUBSET, "--first", "data", "3", "a", cwd=folder)
    segment(data_dir)
    run(SUBSET, "--last", "data", "3", "b", cwd=folder)
    result = run(COMBINE, "all", "a", "b", cwd=folder)
    assert f"{COMBINE} [info]: will generate missing segments for a\n" in result.stdout
    assert f"{COMBINE}: combined segments\n" in result.stdout
    assert run(VALIDATE, "--no-feats", "all", cwd=folder).returncode == 0


def test_combine_cannot_make_segments_of_nothing(data_dir: Path) -> None:
    folder = data_dir.parent
    run(SUBSET, "--first", "data", "3", "a", cwd=folder)
    for name in ("wav.scp", "utt2dur"):
        (folder / "a" / name).unlink()
    segment(data_dir)
    result = run(COMBINE, "all", "a", "data", cwd=folder)
    message = "a has no utt2dur and no wav.scp to make segments of"
    assert (result.returncode, result.stderr) == (1, f"{COMBINE}: {message}\n")


# parse_options.sh


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_of_a_script_without_a_message_is_no_error(tmp_path: Path, option: str) -> None:
    script = tmp_path / "script.sh"
    script.write_text(f"set -euo pipefail\nstage=0\n. {TOOLS}/parse_options.sh\necho went on\n")
    result = subprocess.run(["bash", script, "--stage", "1", option], check=False, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "No help found.\n", "")
