"""Packages and interpreters for tests of set-up, which ask no network."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

BARE_PYTHON = f'exec {Path(sys.executable).resolve()} "$@"'  # this interpreter without its environment's packages
OTHER_PYTHONS = ("python3.10", "python3.11", "python3.12", "python3.13")


def wheel(folder: Path, version: str) -> None:
    """An empty package."""
    folder.mkdir(exist_ok=True)
    info = f"toy_package-{version}.dist-info"
    with zipfile.ZipFile(folder / f"toy_package-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr("toy_package.py", f"version = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: toy-package\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def commands(folder: Path, **bodies: str) -> str:
    """A PATH that begins with these shell scripts; a python3.x that is not among them is none."""
    folder.mkdir(exist_ok=True)
    for name, body in {**dict.fromkeys(OTHER_PYTHONS, "exit 127"), **bodies}.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:/usr/bin:/bin"
