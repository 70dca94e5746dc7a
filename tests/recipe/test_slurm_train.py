"""tools/slurm_train.sh gives each node one launch, and queues a run that was stopped again."""

import os
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SRUN = '#!/bin/sh\nprintf "%s\\n" "$@" >"$CALLS/srun.called"\nexit "$SRUN_STATUS"\n'
SCONTROL = """#!/bin/sh
case "$1 $2" in
  "show hostnames") printf 'node7\\nnode8\\nnode9\\n' ;;
  *) echo "$@" >"$CALLS/scontrol.called" ;;
esac
"""


def submit(folder: Path, *arguments: str, srun_status: int = 0, root: Path = PROJECT) -> int:
    """Run the script as Slurm does, with stubs that leave their arguments in `folder`; its exit status."""
    for name, code in (("srun", SRUN), ("scontrol", SCONTROL)):
        (folder / name).write_text(code)
        (folder / name).chmod(0o755)
    (folder / "slurm_script").write_text((PROJECT / "tools/slurm_train.sh").read_text())
    job = {"JOB_ID": "12345", "JOB_NODELIST": "node[7-9]", "NNODES": "3", "GPUS_ON_NODE": "4", "CPUS_ON_NODE": "64"}
    environment = {
        **os.environ, **{f"SLURM_{name}": value for name, value in job.items()}, "SLURM_SUBMIT_DIR": str(root),
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "CALLS": str(folder), "SRUN_STATUS": str(srun_status),
    }  # fmt: skip
    command = ["bash", str(folder / "slurm_script"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def test_each_node_launches_as_many_processes_as_it_has_gpus(tmp_path: Path) -> None:
    assert submit(tmp_path, "--config", "my conf.yaml", "--exp-dir", "exp/big") == 0
    arguments = (tmp_path / "srun.called").read_text().splitlines()
    launch = arguments[arguments.index("python3") :]
    assert launch[:3] == ["python3", "-m", "wenet_lite.bin.launch"]
    options = dict(zip(launch[3:11:2], launch[4:11:2]))
    assert options == {
        "--nnodes": "3", "--rdzv-endpoint": "node7:22345", "--rdzv-id": "12345", "--max-restarts": "3",
    }  # fmt: skip
    assert launch[11:] == ["4", "wenet_lite.bin.train", "--config", "my conf.yaml", "--exp-dir", "exp/big"]
    assert "--cpus-per-task=64" in arguments[: arguments.index("python3")]
    assert not (tmp_path / "scontrol.called").exists()


@pytest.mark.parametrize(("status", "queued_again"), [(75, True), (1, False), (137, False)])
def test_only_a_run_that_was_stopped_is_queued_again(tmp_path: Path, status: int, queued_again: bool) -> None:
    assert submit(tmp_path, srun_status=status) == status
    assert (tmp_path / "scontrol.called").exists() == queued_again
    if queued_again:
        assert (tmp_path / "scontrol.called").read_text() == "requeue 12345\n"


def test_it_is_submitted_from_the_root(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert submit(tmp_path, root=tmp_path) == 1
    assert "submit it from the project's root" in capfd.readouterr().err
    assert not (tmp_path / "srun.called").exists()
