"""A process that is lost is told in one line, in bounded time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from wenet_lite.distributed import TIMEOUT_VARIABLE, process_group
from wenet_lite.errors import ConfigError

ONE_HANGS = """
import time, torch
from wenet_lite.bin import command
from wenet_lite.distributed import gather_objects, process_group
def main(argv):
    with process_group(torch.device("cpu")) as world:
        if world.rank == 1:
            time.sleep(60)
        gather_objects("here", world)
raise SystemExit(command.run(main))
"""


def test_a_process_that_does_not_answer_is_an_error_after_the_time_out(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(ONE_HANGS)
    root = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{tmp_path}"}
    command = [sys.executable, "-m", "wenet_lite.bin.launch", "--timeout", "2", "2", "job"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=40, check=False)
    assert result.returncode == 1
    line = result.stderr.splitlines()[-1]
    assert "rank 0 of 2, on" in line and "lost the others" in line and "Timed out waiting 2000ms" in line


def test_a_time_out_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv(TIMEOUT_VARIABLE, "ten")
    with (
        pytest.raises(ConfigError, match=f"{TIMEOUT_VARIABLE}=ten is not a number of seconds"),
        process_group(torch.device("cpu")),
    ):
        pass
