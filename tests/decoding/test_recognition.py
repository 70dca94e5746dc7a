"""Whole lists: the same results from any number of processes, after kills, by masks and as streams."""

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from toy import ROOT, Toy, run_module
from toy_model import make_untrained

from wenet_lite.bin import command, recognize
from wenet_lite.data.batch_plan import MicroBatch
from wenet_lite.decoding.recognition import RecognitionPlan
from wenet_lite.distributed import World

BATCHES = ("--max-frames", "500")  # a few utterances
CHUNKS = ("--chunk-size", "4", "--left-chunks", "2")


@pytest.fixture(scope="module")
def exp_dir(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_untrained(toy, tmp_path_factory.mktemp("untrained"))


@pytest.fixture(scope="module")
def alone(toy: Toy, exp_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    result_dir = tmp_path_factory.mktemp("alone")
    assert recognize.main([*arguments(toy, exp_dir, result_dir), "--num-workers", "0"]) == 0
    return result_dir


def arguments(toy: Toy, exp_dir: Path, result_dir: Path, *options: str) -> list[str]:
    where = ["--exp-dir", exp_dir, "--checkpoint", exp_dir / "model.pt", "--result-dir", result_dir]
    data = ["--data", toy.folder / "train/data.list", "--device", "cpu"]
    return [*map(str, [*where, *data]), *BATCHES, *options]


def contents(result_dir: Path) -> dict[str, bytes]:
    """Results that do not depend on the clock; nothing else is left behind."""
    files = {path.relative_to(result_dir): path for path in result_dir.rglob("*") if path.is_file()}
    assert {path.name for path in files} == {"text", "nbest.jsonl", "decode.json"}
    return {str(name): path.read_bytes() for name, path in files.items() if path.name != "decode.json"}


@pytest.mark.parametrize("processes", [2, 3])
def test_ranks_give_the_bytes_of_one(toy: Toy, exp_dir: Path, alone: Path, tmp_path: Path, processes: int) -> None:
    done = run_module("wenet_lite.bin.recognize", *arguments(toy, exp_dir, tmp_path), processes=processes)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path) == contents(alone)
    assert len((alone / "attention/text").read_text().splitlines()) == 24


def test_a_decode_killed_at_any_moment_goes_on(toy: Toy, exp_dir: Path, alone: Path, tmp_path: Path) -> None:
    """Three kills, the last of two ranks; each run finds the batches of those before."""
    module, draw = "wenet_lite.bin.recognize", random.Random(1)
    found = 0
    for processes in (1, 1, 2):
        launcher = [] if processes == 1 else ["wenet_lite.bin.launch", str(processes)]
        run = [sys.executable, "-m", *launcher, module, *arguments(toy, exp_dir, tmp_path, "--beam-size", "10")]
        process = subprocess.Popen(run, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
        while batches_in(tmp_path) < found + draw.randint(1, 3) and process.poll() is None:
            time.sleep(0.001)
        kill_tree(process)
        found = batches_in(tmp_path)
    done = run_module(module, *arguments(toy, exp_dir, tmp_path))
    assert done.returncode == 0, done.stderr
    assert not found or f"going on: {found} of " in done.stderr
    assert contents(tmp_path) == contents(alone)


def batches_in(result_dir: Path) -> int:
    return sum(path.read_bytes().count(b'\n{"batch"') for path in result_dir.glob(".parts/rank*.jsonl"))


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a process and to its descendants, some of which lead sessions of their own."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # gone meanwhile
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(") ")[2].split()[1])
    tree = {process.pid}
    while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= more
    for pid in tree:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def interrupted(toy: Toy, exp_dir: Path, result_dir: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Path:
    """The part file of a decode that stopped before its results were written."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("wenet_lite.decoding.results.write_results", stop)
        with pytest.raises(KeyboardInterrupt):
            recognize.main(arguments(toy, exp_dir, result_dir, *options))
    return result_dir / ".parts/rank0.jsonl"


@pytest.mark.parametrize("cut", [1, 30, 3000])
def test_a_torn_end_is_dropped(
    toy: Toy, exp_dir: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    part = interrupted(toy, exp_dir, tmp_path, monkeypatch)
    part.write_bytes(part.read_bytes()[:-cut])
    assert recognize.main(arguments(toy, exp_dir, tmp_path)) == 0
    assert contents(tmp_path) == contents(alone)


def test_what_is_there_is_not_recognised_again(
    toy: Toy, exp_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = interrupted(toy, exp_dir, tmp_path, monkeypatch)
    part.write_bytes(part.read_bytes().replace(b'"text": "', b'"text": "KEPT '))
    assert recognize.main(arguments(toy, exp_dir, tmp_path)) == 0
    lines = (tmp_path / "ctc_greedy_search/text").read_text().splitlines()
    assert len(lines) == 24 and all(line.split()[1] == "KEPT" for line in lines)


def test_another_command_starts_anew_and_says_so(
    toy: Toy,
    exp_dir: Path,
    alone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    interrupted(toy, exp_dir, tmp_path, monkeypatch, "--beam-size", "3")
    assert recognize.main(arguments(toy, exp_dir, tmp_path)) == 0
    assert "rank0.jsonl is of another checkpoint, list or options: starting anew" in caplog.text
    assert contents(tmp_path) == contents(alone)


def test_a_stream_gives_the_text_of_masks(toy: Toy, exp_dir: Path, tmp_path: Path) -> None:
    for options in ((), ("--streaming",)):
        assert recognize.main(arguments(toy, exp_dir, tmp_path, *CHUNKS, *options)) == 0
    for mode in ("ctc_greedy_search", "attention_rescoring"):
        folder = tmp_path / f"{mode}_chunk4_left2"
        text = (folder / "text").read_bytes()
        assert (tmp_path / f"{folder.name}_stream/text").read_bytes() == text
        assert len(text) > 24 * len(b"train-00  ")


def test_lower_precision_is_close(toy: Toy, exp_dir: Path, alone: Path, tmp_path: Path) -> None:
    options = ("--dtype", "bfloat16", "--modes", "ctc_greedy_search")
    assert recognize.main(arguments(toy, exp_dir, tmp_path, *options)) == 0
    exact, rounded = (
        [json.loads(line)["nbest"][0]["score"] for line in (folder / "ctc_greedy_search/nbest.jsonl").open()]
        for folder in (alone, tmp_path)
    )
    assert rounded != exact and rounded == pytest.approx(exact, rel=0.05)


def test_the_cost_is_told(toy: Toy, exp_dir: Path, tmp_path: Path) -> None:
    options = ("--max-frames", "12000", "--modes", "ctc_greedy_search")  # one batch, from two to four words
    assert recognize.main(arguments(toy, exp_dir, tmp_path, *options)) == 0
    decode = json.loads((tmp_path / "ctc_greedy_search/decode.json").read_text())
    assert 0.05 < decode["padding"] < 0.5 and decode["real_time_factor"] > 0
    assert decode["speed"]["hours_per_hour"] > 0 and decode["speed"]["utterances_per_second"] > 0


def test_ranks_share_the_frames_and_forget_none() -> None:
    frames = tuple(np.random.default_rng(0).integers(10, 900, 40).tolist())
    none = np.zeros(1, dtype=np.int64)
    plan = RecognitionPlan((MicroBatch(none, none, none),) * 38, (7, 8), frames)
    done = {3, 5, 39}
    shares = [plan.share(done, World(rank, 3)) for rank in range(3)]
    assert sorted(itertools.chain(*shares)) == sorted(set(range(40)) - done)
    loads = [sum(frames[number] for number in share) for share in shares]
    assert max(loads) - min(loads) <= max(frames)


def test_bad_input_is_one_line(toy: Toy, exp_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty.list").touch()
    shutil.copytree(exp_dir, tmp_path / "whole")
    settings = "model.encoder.use_dynamic_chunk=false"
    make_untrained(toy, tmp_path / "whole", settings)
    other = tmp_path / "other_units"
    shutil.copytree(exp_dir, other)
    (other / "units.txt").write_text((other / "units.txt").read_text() + "X 12\n")
    units = len((other / "units.txt").read_text().splitlines())
    (other / "units.txt").write_text(
        "\n".join((other / "units.txt").read_text().splitlines()[:-1]) + f"\nX {units - 1}\n"
    )
    for expected, changed in {
        "other_units/units.txt has": arguments(toy, other, tmp_path),
        "file/.parts: cannot be made: Not a directory (name another folder)": arguments(
            toy, exp_dir, tmp_path / "file"
        ),
        "empty.list: lists no utterance": [*arguments(toy, exp_dir, tmp_path), "--data", str(tmp_path / "empty.list")],
        "whole: was trained on whole utterances; --streaming needs use_dynamic_chunk": arguments(
            toy, tmp_path / "whole", tmp_path, "--streaming"
        ),
        "whole utterances have no chunks of history (give --chunk-size": arguments(
            toy, exp_dir, tmp_path, "--left-chunks", "2"
        ),
        "max_segment_seconds must be at least 8": arguments(toy, exp_dir, tmp_path, "--max-segment-seconds", "1"),
    }.items():
        assert command.run(recognize.main, changed) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert expected in line
    for expected, options in {
        "hears neither --lm nor --hotwords": ("--modes", "ctc_greedy_search", "--hotwords", str(tmp_path / "file")),
        "--left-chunks are -1, for all, or more": ("--chunk-size", "4", "--left-chunks", "-2"),
    }.items():
        with pytest.raises(SystemExit, match="1"):
            recognize.main(arguments(toy, exp_dir, tmp_path, *options))
        assert expected in capsys.readouterr().err.splitlines()[-1]
