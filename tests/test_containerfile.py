"""The container is made of files that are there, with the environment of the recipe, and runs what is there.

No image is built: what the Containerfile copies is laid out in a folder, and its commands are tried in that.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from offline_packages import BARE_PYTHON, commands, wheel
from recipe_copy import environment
from toy import ROOT

from wenet_lite.runtime.server.options import ServerOptions

HOME = "/wenet_lite"


def instructions() -> list[tuple[str, str]]:
    """Name and arguments of each instruction, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Containerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(name, arguments) for name, _, arguments in (line.partition(" ") for line in lines if line)]


def arguments_of(name: str) -> list[str]:
    return [arguments for each, arguments in instructions() if each == name]


def ignored(folder: str, names: list[str]) -> set[str]:
    """What .dockerignore keeps out."""
    patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    inside = Path(folder).relative_to(ROOT)
    return {name for name in names if any((inside / name).match(pattern.removeprefix("**/")) for pattern in patterns)}


def copy(arguments: str, root: Path) -> None:
    """Do in `root` what COPY does in the image."""
    *sources, target = [word for word in arguments.split() if not word.startswith("--")]
    for source in sources:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, root / target, ignore=ignored, dirs_exist_ok=True)
        else:
            (root / target).mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, root / target)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """All that is copied."""
    for arguments in arguments_of("COPY"):
        copy(arguments, tmp_path / "image")
    return tmp_path / "image"


def test_the_python_is_one_that_the_project_and_its_tests_know() -> None:
    version = re.fullmatch(r"python:(3\.\d+)-slim", arguments_of("FROM")[0])[1]
    pyproject = (ROOT / "pyproject.toml").read_text()
    lowest, highest = re.search(r'^requires-python = ">=3\.(\d+),<3\.(\d+)"$', pyproject, re.MULTILINE).groups()
    assert int(lowest) <= int(version[2:]) < int(highest)
    assert f'"{version}"' in (ROOT / ".github/workflows/tests.yml").read_text()


def test_the_environment_is_made_of_what_is_copied_before_it(tmp_path: Path) -> None:
    """By the requirements files of the recipe; here they name a toy package, whose wheel needs no network."""
    root = tmp_path / "image"
    for name, arguments in instructions():
        if name == "RUN" and "setup_env" in arguments:
            break
        if name == "COPY":
            copy(arguments, root)
    for file in root.rglob("requirements.txt"):
        file.write_text("toy_package==1.0\n")
    wheel(tmp_path / "wheels", "1.0")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels"), "PIP_CONFIG_FILE": os.devnull}
    path = commands(tmp_path / "bin", python3=BARE_PYTHON)
    subprocess.run(arguments, shell=True, cwd=root, env={"PATH": path, "HOME": str(tmp_path), **offline}, check=True)
    installed = {file.relative_to(root / ".venv/installed") for file in (root / ".venv/installed").rglob("*.txt")}
    recipe = (ROOT / "egs/librispeech/run.sh").read_text(encoding="utf-8")
    assert installed == {Path(file) for file in re.search(r"^  setup_env (.+)$", recipe, re.MULTILINE)[1].split()}
    assert next((root / ".venv").glob("lib/*/site-packages/toy_package.py")).exists()


def test_the_recipe_and_the_server_are_in_it(image: Path) -> None:
    default = json.loads(arguments_of("CMD")[0])
    tools = arguments_of("ENV")[0].removeprefix("PATH=").split(":")[0].replace(HOME, str(image))
    settings = {"cwd": image, "env": {**environment(), "PATH": f"{tools}:{environment()['PATH']}"}}
    for command in ([*default, "--help"], ["wenet-lite", "serve", "--help"]):
        assert "usage" in subprocess.run(command, capture_output=True, text=True, check=True, **settings).stdout.lower()
    stage = subprocess.run([*default, "--stage", "6"], capture_output=True, text=True, check=False, **settings)
    assert stage.stderr.startswith("run.sh: stage 6 needs exp/smoke_smoke/avg_3.pt")
    assert list((image / "wenet_lite/runtime/server").glob("page.html"))


def test_what_the_recipe_makes_stays_outside_and_its_volumes_are_where_it_looks() -> None:
    made = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.startswith("egs/")]
    assert made and all(ignored(str(ROOT / Path(line).parent), [Path(line).name]) for line in made)
    assert ignored(str(ROOT), [".venv", "wenet_lite", "egs", "tools", "conf"]) == {".venv"}
    manual = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
    folders = set(re.findall(rf"{HOME}/egs/librispeech/\w+", next(a for a in arguments_of("RUN") if "useradd" in a)))
    assert folders == {f"{HOME}/egs/librispeech/{Path(line).name}" for line in made}
    assert folders == set(re.findall(rf":({HOME}/egs/librispeech/\w+)", manual))


def test_the_port_is_the_servers() -> None:
    port = str(ServerOptions("model").port)
    assert arguments_of("EXPOSE") == [port]
    manual = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
    assert f"-p 127.0.0.1:{port}:{port}" in manual and f"http://127.0.0.1:{port}/healthz" in manual


def test_nothing_of_it_runs_as_root() -> None:
    names = [name for name, _ in instructions()]
    user = arguments_of("USER")
    assert len(user) == 1 and f"useradd --create-home {user[0]}" in arguments_of("RUN")[1]
    assert names.index("USER") < names.index("COPY")
    assert all(arguments.startswith(f"--chown={user[0]}:{user[0]} ") for arguments in arguments_of("COPY"))
