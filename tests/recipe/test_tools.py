"""The data-directory tools as processes: Kaldi's names, arguments, options, messages and exit statuses."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
TOOLS = PROJECT / "tools"
NAMES = [
    "validate_data_dir.sh",
    "fix_data_dir.sh",
    "subset_data_dir.sh",
    "combine_data.sh",
    "get_utt2dur.sh",
    "perturb_data_dir_speed.sh",
    "perturb_data_dir_speed_3way.sh",
    "make_raw_list.sh",
    "make_shard_list.sh",
    "utt2spk_to_spk2utt",
    "spk2utt_to_utt2spk",
    "utt2spk_to_spk2utt.pl",
    "spk2utt_to_utt2spk.pl",
]


def run(name: str, *arguments: object, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a tool from any folder, in an environment without PYTHONPATH."""
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    command = [os.fspath(TOOLS / name), *map(str, arguments)]
    return subprocess.run(command, check=False, cwd=cwd, env=environment, input=stdin, capture_output=True, text=True)


def test_validate_says_so_in_kaldis_words(data_dir: Path) -> None:
    result = run("validate_data_dir.sh", "--no-feats", "data", cwd=data_dir.parent)
    assert result.returncode == 0
    assert result.stdout == f"{TOOLS}/validate_data_dir.sh: Successfully validated data-directory data\n"
    assert result.stderr == ""


def test_an_unsorted_directory_gets_one_line_with_file_and_cure(data_dir: Path) -> None:
    lines = (data_dir / "text").read_text().splitlines(keepends=True)
    (data_dir / "text").write_text("".join(reversed(lines)))
    result = run("validate_data_dir.sh", "--no-feats", "data", cwd=data_dir.parent)
    assert result.returncode == 1
    assert result.stderr.startswith(
        f"{TOOLS}/validate_data_dir.sh: file data/text is not sorted or has duplicates (line 2: 'bob-1' after 'bob-2';"
    )
    assert result.stderr.count("\n") == 1 and "fix_data_dir.sh data" in result.stderr
    assert run("fix_data_dir.sh", "data", cwd=data_dir.parent).returncode == 0
    assert run("validate_data_dir.sh", "--no-feats", "data", cwd=data_dir.parent).returncode == 0


def test_a_difference_of_ids_is_shown_as_kaldi_shows_it(data_dir: Path) -> None:
    with open(data_dir / "text", "a") as stream:
        stream.write("carl-0 of nobody\n")
    result = run("validate_data_dir.sh", "--no-feats", "data", cwd=data_dir.parent)
    tool = f"{TOOLS}/validate_data_dir.sh"
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"{tool}: Error: in data, utterance lists extracted from utt2spk and text",
        f"{tool}: differ, partial diff is:",
        "--- data/utt2spk",
        "+++ data/text",
        "+carl-0",
        "...",
        "[Lengths are data/utt2spk=6 versus data/text=7]",
    ]


def test_fix_says_what_it_kept(data_dir: Path) -> None:
    result = run("fix_data_dir.sh", "data", cwd=data_dir.parent)
    assert (result.returncode, result.stderr) == (0, "")
    assert "fix_data_dir.sh: kept all 6 utterances.\n" in result.stdout
    assert result.stdout.endswith("fix_data_dir.sh: old files are kept in data/.backup\n")
    (data_dir / "text").write_text("ann-0 a\nann-2 b\n")
    result = run("fix_data_dir.sh", "data", cwd=data_dir.parent)
    assert "fix_data_dir.sh: kept 2 utterances out of 6\n" in result.stdout
    lines = (data_dir / "text").read_text().splitlines(keepends=True)
    (data_dir / "text").write_text("".join(reversed(lines)))
    result = run("fix_data_dir.sh", "data", cwd=data_dir.parent)
    assert "fix_data_dir.sh: file data/text is not in sorted order or not unique, sorting it\n" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["--first", "data", "2", "part"], 2),
        (["--last", "data", "2", "part"], 2),
        (["--shortest", "data", "2", "part"], 2),
        (["--per-spk", "data", "2", "part"], 4),
        (["--speakers", "data", "2", "part"], 3),
        (["data", "2", "part"], 2),
        (["--utt-list", "utts", "data", "part"], 1),
        (["--spk-list", "spks", "data", "part"], 3),
    ],
)
def test_subset_takes_each_choice(data_dir: Path, arguments: list[str], kept: int) -> None:
    (data_dir.parent / "utts").write_text("bob-1\n")
    (data_dir.parent / "spks").write_text("bob\n")
    result = run("subset_data_dir.sh", *arguments, cwd=data_dir.parent)
    assert result.stdout == f"{TOOLS}/subset_data_dir.sh: reducing #utt from 6 to {kept}\n", result.stderr
    assert result.returncode == 0
    assert run("validate_data_dir.sh", "--no-feats", "part", cwd=data_dir.parent).returncode == 0


def test_subset_refuses_more_than_there_is(data_dir: Path) -> None:
    result = run("subset_data_dir.sh", "data", "7", "part", cwd=data_dir.parent)
    assert result.returncode == 1
    assert result.stderr.endswith("subset_data_dir.sh: cannot subset to more utterances than you originally had.\n")


def test_combine_takes_the_destination_first(data_dir: Path) -> None:
    folder = data_dir.parent
    run("subset_data_dir.sh", "--first", "data", "3", "a", cwd=folder)
    run("subset_data_dir.sh", "--last", "data", "3", "b", cwd=folder)
    (folder / "b/utt2dur").unlink()
    (folder / "a/notes").write_text("ann-0 x\n")
    (folder / "b/notes").write_text("bob-0 y\n")
    result = run("combine_data.sh", "--extra-files", "notes", "--skip-fix", "true", "all", "a", "b", cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")
    assert " [info]: **not combining utt2dur as it does not exist everywhere**\n" in result.stdout
    assert (folder / "all/notes").read_text() == "ann-0 x\nbob-0 y\n"
    assert (folder / "all/text").read_text() == (data_dir / "text").read_text()


def test_speaker_tables_are_turned_around_in_a_pipe(data_dir: Path) -> None:
    utt2spk, spk2utt = ((data_dir / name).read_text() for name in ("utt2spk", "spk2utt"))
    for suffix in ("", ".pl"):
        assert run(f"utt2spk_to_spk2utt{suffix}", data_dir / "utt2spk", cwd=data_dir).stdout == spk2utt
        assert run(f"utt2spk_to_spk2utt{suffix}", cwd=data_dir, stdin=utt2spk).stdout == spk2utt
        assert run(f"spk2utt_to_utt2spk{suffix}", cwd=data_dir, stdin=spk2utt).stdout == utt2spk


def test_get_utt2dur_does_not_compute_again(data_dir: Path) -> None:
    result = run("get_utt2dur.sh", "data", cwd=data_dir.parent)
    assert (result.returncode, result.stderr) == (0, "")
    assert "already exists with the expected length.  We won't recompute it." in result.stdout
    (data_dir / "utt2dur").unlink()
    result = run("get_utt2dur.sh", "--nj", "2", "data", cwd=data_dir.parent)
    assert result.returncode == 1 and "/corpus/ann-0.flac" in result.stderr
    assert result.stderr.count("\n") == 1 and not (data_dir / "utt2dur").exists()


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("validate_data_dir.sh --nonsense data", "invalid option --nonsense"),
        ("validate_data_dir.sh nowhere", "no such directory nowhere"),
        ("fix_data_dir.sh nowhere", "no such directory nowhere"),
        ("subset_data_dir.sh nowhere 3 part", "no such file nowhere/utt2spk"),
        ("subset_data_dir.sh data three part", "the number of utterances must be a whole number above 0, got 'three'"),
        ("subset_data_dir.sh data part", "the number of utterances is missing"),
        ("subset_data_dir.sh --utt-list", "option --utt-list needs a value"),
        ("subset_data_dir.sh --utt-list nowhere data part", "nowhere: cannot read the file: No such file or directory"),
        ("subset_data_dir.sh --first --last data 2 part", "only one of --first, --last can be given"),
        ("combine_data.sh --skip-fix=true all data data", "options to scripts must be of the form --name value, got"),
        ("combine_data.sh --skip-fix data all data", 'expected "true" or "false": --skip-fix data'),
        ("combine_data.sh all data nowhere", "no such file nowhere/utt2spk"),
        ("utt2spk_to_spk2utt nowhere", "nowhere: cannot read the file"),
        ("get_utt2dur.sh --nj none data", "--nj must be a whole number above 0, got 'none'"),
    ],
)
def test_a_wrong_call_gets_one_line_and_status_1(data_dir: Path, command: str, line: str) -> None:
    name, *arguments = command.split()
    before = sorted(os.listdir(data_dir.parent))
    result = run(name, *arguments, cwd=data_dir.parent)
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.startswith(f"{TOOLS / name}: {line}"), result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(os.listdir(data_dir.parent)) == before, "left something behind"


@pytest.mark.parametrize("name", NAMES)
def test_help_explains(tmp_path: Path, name: str) -> None:
    result = run(name, "--help", cwd=tmp_path)
    assert result.returncode == 0 and result.stdout.startswith(f"Usage: {TOOLS / name} ")
    too_many = run(name, *"abcde", cwd=tmp_path)
    assert too_many.returncode == 1
    assert too_many.stderr.startswith(f"Usage: {TOOLS / name} ") or "no such file" in too_many.stderr


def test_the_tools_work_through_a_link_and_from_another_copy(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "utils").symlink_to(TOOLS)
    (tmp_path / "validate_data_dir.sh").symlink_to(TOOLS / "validate_data_dir.sh")
    for path in ("utils/validate_data_dir.sh", "./validate_data_dir.sh"):
        command = ["bash", path, "--no-feats", "data"]
        result = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
        assert result.stdout == f"{path}: Successfully validated data-directory data\n", result.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_tool_starts_in_a_fraction_of_a_second(tmp_path: Path, name: str) -> None:
    assert _best_of_five(lambda: run(name, "--help", cwd=tmp_path)) < 0.3


def test_the_library_and_the_tools_start_without_torch() -> None:
    code = (
        "import sys, wenet_lite, wenet_lite.bin.kaldi_tool, wenet_lite.bin.score\n"
        "heavy = {'torch', 'torchaudio', 'numpy', 'soundfile'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    environment = {**os.environ, "PYTHONPATH": os.fspath(PROJECT)}
    command = [sys.executable, "-c", code]
    assert _best_of_five(lambda: subprocess.run(command, env=environment, check=True)) < 0.3


def _best_of_five(action: object) -> float:
    """Seconds of the fastest of five: what else the machine does makes the others slower, never this one faster."""
    assert callable(action)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def test_every_script_passes_shellcheck() -> None:
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    files = (path for path in TOOLS.iterdir() if path.is_file())
    scripts = [path for path in files if path.read_bytes().startswith((b"#!/usr/bin/env bash", b"# shellcheck"))]
    assert len(scripts) >= len(NAMES)
    result = subprocess.run([shellcheck, *scripts], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
