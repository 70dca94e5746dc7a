"""The lines of a list or of its index: opening, reading at an offset, and what a JSON line must hold."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Sequence
from typing import Any, BinaryIO

from wenet_lite.errors import DataError

SCHEMA = 1
_LINE_BYTES = 1024
_TYPES: dict[str, type | tuple[type, ...]] = {
    "key": str,
    "wav": str,
    "txt": str,
    "duration": (int, float),
    "num_samples": int,
    "sample_rate": int,
    "speaker": str,
    "start": (int, float),
    "end": (int, float),
    "audio_offset": int,
    "audio_bytes": int,
    "error": str,
}
COMMAND_FAULT, COMMAND_CURE = "is a command, which is not run unasked", "--allow-pipes runs it"
"""What is wrong with a path that is a command where none may be run, and what to do."""
LIST_REQUIRED = ("key", "wav", "txt")
INDEX_REQUIRED = ("key", "num_samples", "sample_rate")
SHARD_REQUIRED = (*INDEX_REQUIRED, "txt", "audio_offset", "audio_bytes")


def parse_line(
    line: bytes, path: str | os.PathLike[str], number: int, required: Sequence[str] = LIST_REQUIRED
) -> dict[str, Any]:
    """One JSON line with values of the right types; one with an `error` needs nothing but its key besides.

    Raises:
        DataError: naming the line and what is wrong with it.
    """
    try:
        tree: dict[str, Any] = json.loads(line)
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8", path=path, line=number) from error
    except (ValueError, RecursionError) as error:
        raise DataError("is not JSON", path=path, line=number) from error
    if not isinstance(tree, dict):
        raise DataError("is not a JSON object", path=path, line=number)
    if tree.get("schema", SCHEMA) != SCHEMA:
        raise DataError(f"has schema {tree['schema']}, known is {SCHEMA}", path=path, line=number)
    for name in ("key",) if "error" in tree else required:
        if name not in tree:
            raise DataError(f"lacks '{name}'", path=path, line=number, cure="make the list with stage 3")
    for name, types in _TYPES.items():
        if name in tree and (not isinstance(tree[name], types) or isinstance(tree[name], bool)):
            raise DataError(f"'{name}' has the wrong type: {tree[name]!r}", path=path, line=number)
    if tree.get("num_samples", 0) < 0 or not 0 < tree.get("sample_rate", 1) < 1 << 24:
        raise DataError("num_samples or sample_rate is out of range", path=path, line=number)
    if min(tree.get("audio_offset", 0), tree.get("audio_bytes", 0)) < 0:
        raise DataError("audio_offset or audio_bytes is negative", path=path, line=number)
    return tree


def command_error(path: str | os.PathLike[str], line: int) -> DataError:
    """What is wrong with a line that is a command where none may be run."""
    return DataError(COMMAND_FAULT, path=path, line=line, cure=COMMAND_CURE)


def open_list(path: str | os.PathLike[str], what: str = "list", cure: str = "stage 3 makes it") -> BinaryIO:
    """Open a list, or its index.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        return open(path, "rb")
    except OSError as error:
        raise DataError(f"cannot read the {what}: {error.strerror}", path=path, cure=cure) from error


@functools.lru_cache(maxsize=64)
def _kept_open(path: str, size: int, time_ns: int) -> BinaryIO:
    """A file as it is now: size and time are here for the cache, in which another file of this name is another."""
    return open(path, "rb")


def read_line_at(path: str, offset: int) -> bytes:
    """The line that begins at `offset` bytes, without its end; files stay open from call to call."""
    state = os.stat(path)
    stream = _kept_open(path, state.st_size, state.st_mtime_ns)
    line = b""
    while b"\n" not in line:
        portion = os.pread(stream.fileno(), _LINE_BYTES << bool(line), offset + len(line))
        if not portion:
            break
        line += portion
    return line.partition(b"\n")[0]
