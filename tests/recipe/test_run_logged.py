"""tools/run_logged.py: a stage's log, while what the stage prints still goes where it would have gone."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

RUN_LOGGED = Path(__file__).resolve().parents[2] / "tools" / "run_logged.py"


def command(log: Path, *arguments: str) -> list[str]:
    return [sys.executable, str(RUN_LOGGED), str(log), *arguments]


def run(log: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(log, *arguments), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("status", [0, 1, 3])
def test_the_log_has_the_command_first_and_the_exit_status_last(tmp_path: Path, status: int) -> None:
    log = tmp_path / "exp/log/stage.log"
    script = f"echo one; echo two >&2; echo 'an unfinished line' >&2; printf end; exit {status}"
    result = run(log, "bash", "-c", script)
    assert (result.returncode, result.stdout, result.stderr) == (status, "one\nend", "two\nan unfinished line\n")
    first, *output, seconds, last = log.read_text().splitlines()
    assert first == "# bash -c '" + script.replace("'", "'\"'\"'") + "'"
    assert sorted(output) == ["an unfinished line", "end", "one", "two"]
    assert seconds.startswith("# ") and seconds.endswith(" s")
    assert last == f"# exit status {status}"


def test_a_command_that_a_signal_ended_is_told(tmp_path: Path) -> None:
    result = run(tmp_path / "log", "bash", "-c", "kill -TERM $$")
    assert result.returncode == 143
    assert (tmp_path / "log").read_text().endswith("# exit status 143\n")


def test_a_command_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    result = run(tmp_path / "log", "no-such-command")
    assert (result.returncode, result.stderr) == (127, "run_logged.py: no-such-command: No such file or directory\n")
    assert (tmp_path / "log").read_text().endswith("# exit status 127\n")


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("/dev/full")
    result = run(tmp_path / "log", "sleep", "60")
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert result.stderr.endswith("log: No space left on device (the log cannot be written)\n")


def test_a_terminal_sees_the_progress_bar_and_the_log_has_plain_lines(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys; from tqdm import tqdm\n"
        "bar = tqdm(range(30), disable=None, mininterval=0)\n"
        "for i in bar:\n"
        "    if i == 15: bar.clear(); print('half of it', file=sys.stderr)\n"
    )
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    arguments = command(tmp_path / "log", sys.executable, str(script))
    process = subprocess.Popen(arguments, stdout=end, stderr=end)
    os.close(end)
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 1 << 16)
        except OSError:
            break
    assert process.wait() == 0
    assert shown.count(b"\r") > 20 and b"50%" in shown and b"half of it" in shown
    output = (tmp_path / "log").read_text().splitlines()[1:-2]
    assert output[0] == "half of it" and "100%" in output[1] and len(output) == 2


def test_a_stage_ends_with_its_recipe(tmp_path: Path) -> None:
    """Killed without a chance to clean up, run.sh leaves no training that goes on behind one's back."""
    arguments = " ".join(command(tmp_path / "log", "bash", "-c", f"'echo $$ >{tmp_path}/pid; exec sleep 60'"))
    recipe = subprocess.Popen(["bash", "-c", f"{arguments}; true"])
    deadline = time.monotonic() + 20
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(recipe.pid, signal.SIGKILL)
    recipe.wait()
    while Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists():
        assert time.monotonic() < deadline, "the stage still runs"
        time.sleep(0.05)
    assert time.monotonic() < deadline
