"""A copy of the recipe that tests may fill with data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def environment() -> dict[str, str]:
    """This interpreter's environment is the active one; threads as for two processes on two cores."""
    folder = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": sys.prefix}


def copy_recipe(root: Path) -> Path:
    """A project whose recipe folder is its own and whose code is this one's; returns egs/librispeech of it."""
    (root / "egs").mkdir(parents=True)
    for name in ("wenet_lite", "tools", "conf", "run.sh", "path.sh", "requirements.txt", "requirements-dev.txt"):
        (root / name).symlink_to(PROJECT / name)
    ignored = shutil.ignore_patterns("corpus", "data", "exp", "__pycache__")
    return Path(shutil.copytree(PROJECT / "egs/librispeech", root / "egs/librispeech", ignore=ignored))


def run_recipe(recipe: Path, *options: str, **arguments: object) -> subprocess.CompletedProcess[str]:
    """`bash run.sh` with `options`, in the recipe's folder unless `cwd` says otherwise."""
    settings = {"cwd": recipe, "env": environment(), "capture_output": True, "text": True, "timeout": 600, **arguments}
    return subprocess.run(["bash", str(recipe / "run.sh"), *options], check=False, **settings)  # type: ignore[call-overload]
