"""A run survives kills, signals, full disks and a second run in its folder; each test is a real process tree."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import ROOT, Toy, run_module
from toy_run import assert_same_weights, newest

from wenet_lite.bin import train
from wenet_lite.errors import CheckpointError, WenetLiteError
from wenet_lite.training.checkpoint import list_checkpoints, load_checkpoint, load_latest, update_of
from wenet_lite.training.validation import Validator

LONGER = ("training.max_epochs=8",)
RESUMABLE = 75


def updates(exp_dir: Path) -> list[int]:
    return [json.loads(line)["update"] for line in (exp_dir / "metrics.jsonl").read_text().splitlines()]


def num_records(exp_dir: Path) -> int:
    path = exp_dir / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def start(toy: Toy, exp_dir: Path, processes: int = 1, settings: tuple[str, ...] = LONGER) -> subprocess.Popen[str]:
    launcher = [] if processes == 1 else ["wenet_lite.bin.launch", str(processes)]
    command = [sys.executable, "-m", *launcher, "wenet_lite.bin.train", *toy.train_arguments(exp_dir, *settings)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for(process: subprocess.Popen[str], exp_dir: Path, records: int) -> None:
    while process.poll() is None and num_records(exp_dir) < records:
        time.sleep(0.002)
    assert process.poll() is None, f"the run ended too early: {process.communicate()[1]}"


@pytest.fixture(scope="module")
def undisturbed(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Runs of one and of two ranks."""
    folders = {}
    for processes in (1, 2):
        folders[processes] = tmp_path_factory.mktemp(f"undisturbed{processes}")
        result = run_module(
            "wenet_lite.bin.train", *toy.train_arguments(folders[processes], *LONGER), processes=processes
        )
        assert result.returncode == 0, result.stderr
    return folders


@pytest.mark.parametrize(
    ("processes", "kills"),
    [(1, 3), (2, 2), *(pytest.param(p, 15, marks=pytest.mark.slow) for p in (1, 2))],
)
def test_a_killed_run_ends_with_the_weights_of_the_undisturbed_one(
    toy: Toy, undisturbed: dict[int, Path], tmp_path: Path, processes: int, kills: int
) -> None:
    """Killed with all its processes, at random moments, every second time while a checkpoint is being written."""
    draw = random.Random(kills)
    for number in range(kills):
        process = start(toy, tmp_path, processes)
        goal = max(num_records(tmp_path) + (draw.randint(1, 40) if number == 0 else draw.randint(0, 2)), 1)
        wait_for(process, tmp_path, min(goal, 44))
        checkpoints = tmp_path / "checkpoints"
        deadline = time.monotonic() + 5
        while number % 2 and not list(checkpoints.glob("*.tmp")) and time.monotonic() < deadline:
            if process.poll() is not None:
                break
        time.sleep(draw.random() * 0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    result = run_module("wenet_lite.bin.train", *toy.train_arguments(tmp_path, *LONGER), processes=processes)
    assert result.returncode == 0, result.stderr
    assert_same_weights(tmp_path, undisturbed[processes])
    assert updates(tmp_path) == updates(undisturbed[processes])  # no update is told twice
    assert not list((tmp_path / "checkpoints").glob("*.tmp"))


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_says_that_the_run_can_go_on(
    toy: Toy, undisturbed: dict[int, Path], tmp_path: Path, processes: int, number: signal.Signals
) -> None:
    process = start(toy, tmp_path, processes, (*LONGER, "training.checkpoint_interval=0", "training.num_workers=1"))
    wait_for(process, tmp_path, 8)
    if processes == 1:
        os.killpg(process.pid, number)  # with the processes that load data, as Ctrl-C does
    else:
        process.send_signal(number)  # to the launcher
    _, told = process.communicate(timeout=60)
    assert process.returncode == RESUMABLE, told
    assert "everything is saved: the same command goes on" in told and "Traceback" not in told
    saved = load_latest(tmp_path / "checkpoints")
    assert saved is not None and 7 <= saved.update < 40
    assert updates(tmp_path)[-1] <= saved.update
    result = run_module("wenet_lite.bin.train", *toy.train_arguments(tmp_path, *LONGER), processes=processes)
    assert result.returncode == 0, result.stderr
    assert_same_weights(tmp_path, undisturbed[processes])


def test_a_signal_while_the_dev_set_is_measured_is_the_end_of_it(
    toy: Toy, undisturbed: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = Validator.measure

    def interrupted(*args: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return measure(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Validator, "measure", interrupted)
        assert train.main(toy.train_arguments(tmp_path, *LONGER)) == RESUMABLE
    stopped = newest(tmp_path)
    assert stopped.epoch == 1 and stopped.update_in_epoch == 0 and stopped.dev == stopped.history[0]
    assert train.main(toy.train_arguments(tmp_path, *LONGER)) == 0
    assert_same_weights(tmp_path, undisturbed[1])


def test_a_signal_at_the_very_end_stops_nothing(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = Validator.measure

    def interrupted(*args: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return measure(*args, **options)

    monkeypatch.setattr(Validator, "measure", interrupted)
    assert train.main(toy.train_arguments(tmp_path, "training.max_epochs=1")) == 0


def test_an_epoch_is_saved_before_it_is_measured(
    toy: Toy, undisturbed: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    def killed(*args: Any, **options: Any) -> Any:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Validator, "measure", killed)
        with pytest.raises(KilledError):
            train.main(toy.train_arguments(tmp_path, *LONGER, "training.checkpoint_interval=0"))
    deadline = time.monotonic() + 30
    while not (saved := list_checkpoints(tmp_path / "checkpoints")) and time.monotonic() < deadline:
        time.sleep(0.01)  # a thread writes it
    assert len(saved) == 1 and load_checkpoint(saved[0]).update_in_epoch == update_of(saved[0]) > 0
    assert train.main(toy.train_arguments(tmp_path, *LONGER)) == 0
    assert_same_weights(tmp_path, undisturbed[1])


def test_a_second_run_in_the_folder_is_refused(toy: Toy, tmp_path: Path) -> None:
    process = start(toy, tmp_path)
    wait_for(process, tmp_path, 1)
    with pytest.raises(WenetLiteError, match=rf"another run trains here \(process {process.pid} on .*train elsewhere"):
        train.main(toy.train_arguments(tmp_path, *LONGER))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert train.main(toy.train_arguments(tmp_path, *LONGER)) == 0


def test_a_folder_that_cannot_be_made_is_one_line(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run_module("wenet_lite.bin.train", *toy.train_arguments(tmp_path / "file" / "exp"))
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith(f"train: {tmp_path}/file/exp: Not a directory")


def test_damage_and_older_formats_are_passed_over(
    undisturbed: dict[int, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    *_, good, flipped, older, torn = list_checkpoints(undisturbed[1] / "checkpoints")
    for path in (good, flipped, older, torn):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = bytearray((tmp_path / flipped.name).read_bytes())
    weights = load_checkpoint(flipped).model["ctc.ctc_lo.weight"].numpy().tobytes()
    content[content.index(weights)] ^= 1
    (tmp_path / flipped.name).write_bytes(content)
    torch.save({"schema": 1, "update": 3}, tmp_path / older.name)
    (tmp_path / torn.name).write_bytes(torn.read_bytes()[:1000])
    found = load_latest(tmp_path)
    assert found is not None and found.update == load_checkpoint(good).update
    assert [text in line for text, line in zip(("is torn", "of schema 1", "has another checksum"), caplog.messages)]
    assert len(caplog.messages) == 3 and all(line.endswith("trying the one before") for line in caplog.messages)
    (tmp_path / good.name).unlink()
    with pytest.raises(CheckpointError, match=r"none of the checkpoints can be read \(move them away"):
        load_latest(tmp_path)


def test_the_disk_that_is_full_is_named_and_the_old_checkpoint_survives(toy: Toy, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.decode().strip()}")
    try:
        exp_dir = disk / "exp"
        assert (
            run_module("wenet_lite.bin.train", *toy.train_arguments(exp_dir, "training.max_epochs=1")).returncode == 0
        )
        before = {path.name: path.read_bytes() for path in (exp_dir / "checkpoints").iterdir()}
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "filler").write_bytes(bytes(max(free - 40_000, 0)))
        result = run_module("wenet_lite.bin.train", *toy.train_arguments(exp_dir, "training.max_epochs=2"))
        assert result.returncode == 1, result.stderr
        last = result.stderr.splitlines()[-1]
        assert f"No space left on device: the disk at {disk} has" in last and "Traceback" not in result.stderr
        assert {path.name: path.read_bytes() for path in (exp_dir / "checkpoints").iterdir()} == before
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_run_that_was_stopped_at_its_last_update_measures_it(toy: Toy, tmp_path: Path) -> None:
    settings = ("training.max_updates=7", "training.checkpoint_interval=7")
    assert train.main(toy.train_arguments(tmp_path, *settings)) == 0
    measured = load_checkpoint(list_checkpoints(tmp_path / "checkpoints")[-1])
    torch.save({"schema": 3, **vars(measured), "dev": None}, tmp_path / "checkpoints" / "step_00000007.pt")
    assert train.main(toy.train_arguments(tmp_path, *settings)) == 0
    again = load_checkpoint(list_checkpoints(tmp_path / "checkpoints")[-1])
    assert again.update == 7 and again.dev == measured.dev


def test_a_run_with_another_number_of_micro_batches_trains_to_its_end(toy: Toy, tmp_path: Path) -> None:
    assert train.main(toy.train_arguments(tmp_path, "training.max_epochs=3", "training.max_updates=9")) == 0
    other = ("training.max_epochs=3", "batch.micro_batches_per_update=4")
    assert train.main([*toy.train_arguments(tmp_path, *other), "--allow-config-change"]) == 0
    assert load_checkpoint(list_checkpoints(tmp_path / "checkpoints")[-1]).epoch == 3


def test_damaged_checkpoints_take_no_good_ones_place(toy: Toy, tmp_path: Path) -> None:
    settings = ("training.keep_checkpoints=1", "training.keep_best=0")
    assert train.main(toy.train_arguments(tmp_path, "training.max_epochs=1", *settings)) == 0
    (tmp_path / "checkpoints" / "step_00099999.pt").write_bytes(b"torn")
    assert train.main(toy.train_arguments(tmp_path, "training.max_epochs=2", *settings)) == 0
    found = load_latest(tmp_path / "checkpoints")
    assert found is not None and found.epoch == 2


def test_ranks_with_other_configurations_are_refused(toy: Toy, tmp_path: Path) -> None:
    code = (
        "import os, sys; from wenet_lite.bin import command, train; sys.argv += ['--set', 'seed=' + os.environ['RANK']]"
    )
    (tmp_path / "differing.py").write_text(f"{code}; sys.exit(command.run(train.main))\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, "-m", "wenet_lite.bin.launch", "2", "differing", *toy.train_arguments(tmp_path / "exp")]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    assert "ranks do not agree: seed: 0 -> 1 (give the same command" in result.stderr


def test_a_lost_process_is_replaced(toy: Toy, undisturbed: dict[int, Path], tmp_path: Path) -> None:
    """torchrun starts both ranks again, and they go on from the last checkpoint."""
    command = [sys.executable, "-m", "wenet_lite.bin.launch", "--max-restarts", "1", "2", "wenet_lite.bin.train"]
    arguments = toy.train_arguments(tmp_path, *LONGER)
    process = subprocess.Popen([*command, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    wait_for(process, tmp_path, 8)
    workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    os.kill(int(workers.stdout.split()[0]), signal.SIGKILL)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert_same_weights(tmp_path, undisturbed[2])
