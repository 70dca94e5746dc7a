"""Set-up honours an environment that will do, makes one where there is none, and says the cure where it cannot."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from offline_packages import BARE_PYTHON, commands, wheel
from recipe_copy import PROJECT

TOO_OLD = 'case "$*" in *version_info*) exit 1 ;; *) exit 2 ;; esac'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that requires one package, whose wheel needs no network: toy-package 1.0."""
    root = tmp_path / "project"
    (root / "egs/x").mkdir(parents=True)
    for name in ("tools", "path.sh"):
        (root / name).symlink_to(PROJECT / name)
    (root / "requirements.txt").write_text("toy_package==1.0\n")
    (root / "egs/x/requirements.txt").write_text("")
    wheel(tmp_path / "wheels", "1.0")
    return root


def set_up(project: Path, path: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Source path.sh, call setup_env, and say which python3 comes first on the PATH then."""
    script = (
        f"set -euo pipefail; . {project}/path.sh; . {PROJECT}/tools/setup_env.sh; "
        "setup_env requirements.txt egs/x/requirements.txt; command -v python3"
    )
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project.parent / "wheels"), "PIP_CONFIG_FILE": os.devnull}
    environment = {"PATH": path, "HOME": str(project.parent), **offline, **variables}
    return subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)


def toy_version(venv: Path) -> str:
    """Version of the package that an environment really has."""
    show = "import toy_package; print(toy_package.version)"
    return subprocess.check_output([venv / "bin/python3", "-c", show], text=True).strip()


def test_an_active_environment_that_will_do_is_used(project: Path, tmp_path: Path) -> None:
    active = tmp_path / "active"
    with zipfile.ZipFile(tmp_path / "wheels/toy_package-1.0-py3-none-any.whl") as archive:
        archive.extractall(tmp_path / "site")
    path = commands(active, python3=f'PYTHONPATH={tmp_path}/site exec {sys.executable} "$@"')
    for variables in ({"VIRTUAL_ENV": str(active)}, {"CONDA_PREFIX": str(active)}, {}):
        result = set_up(project, path, **variables)
        assert (result.returncode, result.stdout, result.stderr) == (0, f"{active}/python3\n", "")
    assert not (project / ".venv").exists()


def test_an_old_python_is_one_line_with_the_cure(project: Path, tmp_path: Path) -> None:
    result = set_up(project, commands(tmp_path / "bin", python3=TOO_OLD))
    cure = "(install one, or name it: WENET_LITE_PYTHON=/path/to/python3)"
    assert (result.returncode, result.stderr) == (1, f"setup: python3 is no Python 3.10 to 3.13 {cure}\n")
    result = set_up(project, commands(tmp_path / "bin", python3=TOO_OLD), WENET_LITE_PYTHON="/no/python")
    assert (result.returncode, result.stderr) == (1, f"setup: /no/python is no Python 3.10 to 3.13 {cure}\n")
    assert not (project / ".venv").exists()


def test_a_python_without_venv_is_one_line_with_the_cure(project: Path, tmp_path: Path) -> None:
    stub = tmp_path / "stub"
    stub.mkdir()
    (stub / "ensurepip.py").write_text("raise ImportError\n")
    result = set_up(project, commands(tmp_path / "bin", python3=BARE_PYTHON), PYTHONPATH=str(stub))
    cure = "(on Debian and Ubuntu: apt install python3-venv)"
    assert (result.returncode, result.stderr) == (1, f"setup: {tmp_path}/bin/python3 cannot make environments {cure}\n")
    assert not (project / ".venv").exists()


def test_an_environment_is_made_kept_and_brought_up_to_date(project: Path, tmp_path: Path) -> None:
    """Also when the first attempt fails, or was killed while the environment was half made."""
    venv = project / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python3").symlink_to("/nowhere")
    path = commands(tmp_path / "bin", **{"python3": TOO_OLD, "python3.12": BARE_PYTHON})

    (project / "requirements.txt").write_text("toy_package==2.0\n")
    result = set_up(project, path)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("setup: the packages cannot be installed, see above")
    assert not (venv / "installed").exists()

    wheel(tmp_path / "wheels", "2.0")
    result = set_up(project, path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"{venv}/bin/python3"
    assert "setup: making" not in result.stderr and "setup: installing requirements.txt" in result.stderr
    again = set_up(project, path)
    assert (again.returncode, again.stdout, again.stderr) == (0, f"{venv}/bin/python3\n", "")

    (venv / "installing").touch()  # as a kill leaves it, with a package that pip takes for whole
    shutil.rmtree(venv / "installed")
    next(venv.glob("lib/*/site-packages/toy_package.py")).unlink()
    assert set_up(project, path).returncode == 0
    assert toy_version(venv) == "2.0" and not (venv / "installing").exists()

    (project / "requirements.txt").write_text("toy_package==1.0\n")
    assert set_up(project, path, VIRTUAL_ENV=str(tmp_path / "other")).returncode == 0
    assert toy_version(venv) == "1.0"


def test_another_index_is_asked_too(project: Path, tmp_path: Path) -> None:
    """Its build with a local label, such as +cpu, is the one that is taken."""
    index = tmp_path / "index/toy-package"
    index.parent.mkdir()
    wheel(index, "1.0+cpu")
    (name,) = (file.name for file in index.iterdir())
    (index / "index.html").write_text(f'<a href="{name}">{name}</a>\n')
    variables = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": f"file://{tmp_path}/empty"}
    result = set_up(
        project,
        commands(tmp_path / "bin", python3=BARE_PYTHON),
        WENET_LITE_INDEX_URL=f"file://{tmp_path}/index",
        **variables,
    )
    assert result.returncode == 0, result.stderr
    assert toy_version(project / ".venv") == "1.0+cpu"
    check = [project / ".venv/bin/python3", PROJECT / "tools/check_requirements.py", project / "requirements.txt"]
    assert subprocess.run(check, check=False).returncode == 0


def test_requirements_that_are_lacking_are_listed(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("# a comment\npytest==0.1\n")
    (tmp_path / "requirements.txt").write_text(
        '-r more.txt\nno-such-package==1.0  # why\nno-such-package==2.0; python_version < "3.9"\n'
        f'pytest=={pytest.__version__}; python_version >= "3.9"\n'
    )
    command = [sys.executable, PROJECT / "tools/check_requirements.py", tmp_path / "requirements.txt"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "pytest==0.1, no-such-package==1.0\n")


def test_this_environment_has_what_the_project_requires() -> None:
    """Which shows that the checker reads every line that the project's files have."""
    files = [PROJECT / "requirements.txt", PROJECT / "requirements-dev.txt"]
    command = [sys.executable, PROJECT / "tools/check_requirements.py", *files]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "\n")
