"""Set-up honours an environment that will do, makes one where there is none, and says the cure where it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def set_up(root: Path, requirements: str, path: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Source setup_env.sh with `root` as the project, then say which python3 is first on the PATH."""
    source = f"WENET_LITE_ROOT={root}; . {PROJECT}/tools/setup_env.sh"
    script = f"set -euo pipefail; {source}; setup_env {requirements}; command -v python3"
    environment = {"PATH": path, "HOME": os.environ.get("HOME", "/"), **variables}
    return subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with requirements that need no network."""
    project = tmp_path / "project"
    (project / "tools").mkdir(parents=True)
    (project / "egs/x").mkdir(parents=True)
    (project / "tools/check_requirements.py").symlink_to(PROJECT / "tools/check_requirements.py")
    (project / "requirements.txt").write_text("numpy>=2.0,<3\n")
    (project / "requirements-none.txt").write_text("no-such-package==1.0\n")
    (project / "requirements-empty.txt").write_text("")
    (project / "egs/x/requirements.txt").write_text("")
    return project


def fake_python(folder: Path, body: str) -> str:
    """A PATH whose python3 is a shell script."""
    folder.mkdir()
    (folder / "python3").write_text(f"#!/bin/bash\n{body}\n")
    (folder / "python3").chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_an_environment_that_satisfies_the_requirements_is_used(root: Path) -> None:
    folder = str(Path(sys.executable).parent)
    result = set_up(root, "requirements.txt", f"{folder}:/usr/bin:/bin")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == f"{folder}/python3"
    assert not (root / ".venv").exists()


def test_an_old_python_is_one_line_with_the_cure(root: Path, tmp_path: Path) -> None:
    result = set_up(root, "requirements.txt", fake_python(tmp_path / "bin", "exit 1"))
    assert result.returncode == 1
    assert result.stderr == (
        "setup: python3 is missing or older than 3.10 (install Python 3.10 to 3.13, or set WENET_LITE_PYTHON)\n"
    )


def test_a_python_without_venv_is_one_line_with_the_cure(root: Path, tmp_path: Path) -> None:
    body = "[[ $1 == -c ]] && exit 0; [[ $1 == -m ]] && exit 1; exit 1"
    result = set_up(root, "requirements.txt", fake_python(tmp_path / "bin", body))
    assert result.returncode == 1
    assert result.stderr == (
        "setup: python3 cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)\n"
    )
    assert not (root / ".venv").exists()


def test_an_environment_is_made_reused_and_brought_up_to_date(root: Path, tmp_path: Path) -> None:
    """The fake interpreter satisfies nothing, makes a .venv with a fake pip, and counts its installs."""
    body = f"""
case "$1 $2" in
  "-c "*) exit 0 ;;
  "-m venv") mkdir -p "$3/bin"; for name in python python3 pip; do cp "$0" "$3/bin/$name"; done ;;
  "-m pip") echo "$*" >>{tmp_path}/installs ;;
  *) exit 1 ;;
esac"""
    path = fake_python(tmp_path / "bin", body)
    for _ in range(2):
        result = set_up(root, "requirements.txt", path, WENET_LITE_INDEX_URL="https://example.org/whl")
        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines()[-1] == f"{root}/.venv/bin/python3"
    (install,) = (tmp_path / "installs").read_text().splitlines()
    assert "--extra-index-url https://example.org/whl" in install
    (root / "requirements.txt").write_text("numpy==1.0\n")
    assert set_up(root, "requirements.txt", path).returncode == 0
    assert len((tmp_path / "installs").read_text().splitlines()) == 2


def test_a_failed_installation_says_so_and_is_tried_again(root: Path, tmp_path: Path) -> None:
    body = """
case "$1 $2" in
  "-c "*) exit 0 ;;
  "-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; touch "$3/bin/pip"; chmod +x "$3/bin/pip" ;;
  *) exit 1 ;;
esac"""
    result = set_up(root, "requirements.txt", fake_python(tmp_path / "bin", body))
    assert result.returncode == 1 and "the packages cannot be installed" in result.stderr
    assert not list((root / ".venv").glob(".stamp*"))
