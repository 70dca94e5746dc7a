"""launch ends with the status of what it ran, and leaves a stopped run the time to save."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wenet_lite.bin import launch

COUNTS_STARTS = """
import os, pathlib, sys
if os.environ["RANK"] == "0":
    with open("starts", "a") as starts:
        starts.write("x")
sys.exit({status})
"""
SAVES_ON_SIGTERM = """
import pathlib, signal, sys, time
def save(*_):
    time.sleep(1)
    pathlib.Path("saved").touch()
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
pathlib.Path("ready").touch()
time.sleep(60)
"""
IGNORES_SIGTERM = """
import pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("ready").touch()
time.sleep(60)
"""


def start(folder: Path, code: str, *arguments: str) -> subprocess.Popen[str]:
    """launch a module of this code in `folder`, where it also runs."""
    (folder / "job.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).resolve().parents[2]}{os.pathsep}{folder}"}
    command = [sys.executable, "-m", "wenet_lite.bin.launch", *arguments, "job"]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def stop_when_ready(process: subprocess.Popen[str], folder: Path) -> str:
    """SIGTERM to launch once the module is ready for it; what launch says then."""
    while not (folder / "ready").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=30)[1]


@pytest.mark.parametrize("status", [0, 1, 75])
def test_the_status_is_that_of_the_module(tmp_path: Path, status: int) -> None:
    process = start(tmp_path, COUNTS_STARTS.format(status=status), "2")
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == status


def test_processes_that_fail_are_started_again(tmp_path: Path) -> None:
    process = start(tmp_path, COUNTS_STARTS.format(status=1), "--max-restarts", "2", "1")
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert (tmp_path / "starts").read_text() == "xxx"


def test_a_stopped_run_has_the_time_to_save(tmp_path: Path) -> None:
    process = start(tmp_path, SAVES_ON_SIGTERM, "--max-restarts", "2", "1")
    assert stop_when_ready(process, tmp_path).endswith("launch: stopped by SIGTERM\n")
    assert process.returncode == 75
    assert (tmp_path / "saved").exists()


def test_what_does_not_stop_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    process = start(tmp_path, IGNORES_SIGTERM, "--grace-period", "1", "1")
    stop_when_ready(process, tmp_path)
    assert process.returncode == 75


def test_hosts_that_do_not_meet_are_one_line(tmp_path: Path) -> None:
    elsewhere = ["--nnodes", "2", "--rdzv-endpoint", "127.0.0.1:9", "--local-addr", "127.0.0.2", "--timeout", "1"]
    process = start(tmp_path, "", *elsewhere, "1")
    assert process.communicate(timeout=60)[1].splitlines()[-1].startswith("launch: cannot meet the other hosts")
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--nnodes", "2"], "--nnodes needs --rdzv-endpoint"),
        (["--nnodes", "3:2"], "3:2 is not a number of hosts"),
        (["--rdzv-endpoint", "node1"], "--rdzv-endpoint is HOST:PORT"),
        (["--timeout", "0"], "are at least 1"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        launch.main([*arguments, "1", "job"])
    assert complaint in capsys.readouterr().err
