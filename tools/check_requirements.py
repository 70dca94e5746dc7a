"""Exit status 0 if this interpreter has the packages of a requirements file, in versions that fit."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

_LINE = re.compile(r"(?P<name>[\w.-]+)(?P<bounds>[^;]*)(;\s*python_version\s*(?P<op><|>=)\s*\"(?P<python>[\d.]+)\")?")


def missing(requirements: Path) -> list[str]:
    """Lines of the file, and of those it includes, that are not satisfied."""
    wrong = []
    for line in requirements.read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("-r "):
            wrong += missing(requirements.parent / line[3:].strip())
        elif line and not _satisfied(line):
            wrong.append(line)
    return wrong


def _satisfied(line: str) -> bool:
    found = _LINE.fullmatch(line)
    if found is None:
        return False
    if found["op"]:
        older = sys.version_info[:2] < _numbers(found["python"])
        if older != (found["op"] == "<"):
            return True
    try:
        # A local label such as +cpu is a build of the same version.
        version = _numbers(importlib.metadata.version(found["name"]).split("+")[0])
    except importlib.metadata.PackageNotFoundError:
        return False
    return all(_fits(version, bound.strip()) for bound in found["bounds"].split(",") if bound.strip())


def _fits(version: tuple[int, ...], bound: str) -> bool:
    operator = bound.rstrip("0123456789.")
    wanted = _numbers(bound[len(operator) :])
    return {"==": version == wanted, ">=": version >= wanted, "<": version < wanted}.get(operator, False)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


if __name__ == "__main__":
    raise SystemExit(1 if missing(Path(sys.argv[1])) else 0)
