"""Reading a Kaldi data directory with the checks that every file of it must pass."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable
from dataclasses import dataclass

from wenet_lite.errors import DataError


@dataclass(frozen=True)
class CheckedTable:
    """Lines of a file with their keys, sorted and unique."""

    path: str
    lines: list[bytes]
    keys: list[bytes]


@dataclass(frozen=True)
class CheckedDir:
    """A data directory that is being checked.

    Attributes:
        path: as the user wrote it.
        program: the name that messages start with.
    """

    path: str
    program: str

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return os.path.isfile(self.file(name))

    def file(self, name: str) -> str:
        """The path of a file."""
        return os.path.join(self.path, name)

    def error(self, message: str, cure: str | None = None) -> DataError:
        """The error to raise for a broken rule."""
        return DataError(f"{self.program}: {message}", cure=cure)

    def lines(self, name: str) -> list[bytes]:
        """The lines of a file, of which the last must be closed."""
        path = self.file(name)
        with open(path, "rb") as stream:
            *lines, rest = stream.read().split(b"\n")
        if rest:
            raise self.error(f"file {path} has invalid newline", "the last line must end in one")
        return lines

    def table(self, name: str) -> CheckedTable:
        """The lines of a file, which must be sorted by key and unique."""
        path = self.file(name)
        lines = self.lines(name)
        try:
            keys = [line.split(None, 1)[0] for line in lines]
        except IndexError:
            number = next(number for number, line in enumerate(lines, 1) if not line.split())
            raise self.error(f"file {path} has an empty line", f"line {number}") from None
        if not all(map(operator.lt, keys, keys[1:])):
            number = next(i for i in range(1, len(keys)) if keys[i - 1] >= keys[i])
            where = f"line {number + 1}: '{show(keys[number])}' after '{show(keys[number - 1])}'"
            cure = f"{where}; fix_data_dir.sh {self.path} mends it"
            raise self.error(f"file {path} is not sorted or has duplicates", cure)
        return CheckedTable(path, lines, keys)

    def require_same_ids(self, expected: CheckedTable, got: CheckedTable, subject: str) -> None:
        """Raise with a partial diff where the keys differ."""
        if expected.keys != got.keys:
            diff = _partial_diff(expected, got)
            raise self.error(f"Error: in {self.path}, {subject}\n{self.program}: differ, partial diff is:\n{diff}")

    def require_lines(self, table: CheckedTable, rule: Callable[[list[bytes]], bool], message: str) -> None:
        """Raise for the first line whose fields break the rule; {number} and {line} in `message` stand for it."""
        for number, line in enumerate(table.lines, 1):
            if not rule(line.split()):
                full_message = message.replace("{number}", str(number)).replace("{line}", show(line))
                raise self.error(full_message, f"line {number} of {table.path}")


def _partial_diff(expected: CheckedTable, got: CheckedTable) -> str:
    """What one has and the other has not, at most twelve lines of it."""
    wanted, present = set(expected.keys), set(got.keys)
    changes = sorted([(key, "-") for key in wanted - present] + [(key, "+") for key in present - wanted])
    lines = [f"--- {expected.path}", f"+++ {got.path}", *(f"{sign}{show(key)}" for key, sign in changes)]
    lengths = f"[Lengths are {expected.path}={len(expected.keys)} versus {got.path}={len(got.keys)}]"
    return "\n".join([*lines[:6], "...", *lines[6:][-6:], lengths])


def show(text: bytes) -> str:
    """Bytes of a file as a message can have them."""
    return text.decode(errors="replace")
