"""Exit status 0 if this interpreter has the packages of requirements files, in versions that fit; else it lists others.

Reads the installed metadata and imports none of the packages, so it takes a twentieth of a second. It knows the lines
that this repository's files have: `name==1.2; python_version >= "3.11"` and `-r other.txt`.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

_LINE = re.compile(r'([\w.-]+)==([\w.]+)(?:\s*;\s*python_version\s*(<|>=)\s*"([\d.]+)")?')


def missing(requirements: Path) -> list[str]:
    """Lines of the file, and of those it includes, that are not satisfied."""
    wrong = []
    for line in requirements.read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("-r "):
            wrong += missing(requirements.parent / line[3:].strip())
        elif line and not _satisfied(line):
            wrong.append(line.split(";")[0])
    return wrong


def _satisfied(line: str) -> bool:
    found = _LINE.fullmatch(line)
    if found is None:
        return False
    name, wanted, operator, python = found.groups()
    if operator:
        older = sys.version_info[:2] < tuple(int(part) for part in python.split("."))
        if older != (operator == "<"):
            return True
    try:
        # A local label such as +cpu is a build of the same version.
        return importlib.metadata.version(name).split("+")[0] == wanted
    except importlib.metadata.PackageNotFoundError:
        return False


if __name__ == "__main__":
    lines = [line for path in sys.argv[1:] for line in missing(Path(path))]
    print(", ".join(lines))
    raise SystemExit(1 if lines else 0)
