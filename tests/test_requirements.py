"""requirements.txt is all that training and its results need: what only tests and extras install is hidden here."""

import subprocess
import sys
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from toy import ROOT, Toy

HIDING = """
import runpy, sys
from importlib.machinery import PathFinder

find, hidden = PathFinder.find_spec, {hidden!r}
PathFinder.find_spec = lambda name, path=None, target=None: None if name in hidden else find(name, path, target)
sys.path.insert(0, {root!r})
runpy.run_module("wenet_lite.bin.train", run_name="__main__", alter_sys=True)
"""


def brought_by(names: list[str]) -> set[str]:
    """Distributions that these need, they included; names are canonical."""
    found: set[str] = set()
    while names:
        if (name := canonicalize_name(names.pop())) not in found:
            found.add(name)
            try:
                needed = [Requirement(line) for line in requires(name) or []]
            except PackageNotFoundError:  # of another platform
                continue
            names += [each.name for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


def owners_of_modules() -> dict[str, set[str]]:
    """Top-level modules, and the distributions that have files of them; Python 3.10's own function misses most."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for distribution in distributions():
        name = canonicalize_name(distribution.name)  # reads the metadata each time
        for file in distribution.files or []:
            if file.suffix in (".py", ".so"):
                found[file.parts[0].partition(".")[0]].add(name)
    return found


def required(path: Path) -> list[str]:
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    return [Requirement(line).name for line in lines if line]


def test_training_needs_nothing_but_requirements_txt(toy: Toy, tmp_path: Path) -> None:
    kept = brought_by(required(ROOT / "requirements.txt"))
    hidden = {module for module, owners in owners_of_modules().items() if kept.isdisjoint(owners)}
    assert {"pytest", "matplotlib", "onnx"} <= hidden and hidden.isdisjoint({"torch", "numpy", "tensorboardX"})
    script = tmp_path / "train.py"
    script.write_text(HIDING.format(hidden=hidden, root=str(ROOT)))
    arguments = toy.train_arguments(tmp_path / "exp", "training.max_epochs=1")
    result = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert list((tmp_path / "exp").glob("**/events.out.tfevents.*"))
