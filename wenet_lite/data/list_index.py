"""The index beside a list or a shard: how long each utterance is, and where it lies."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wenet_lite.data.kaldi import write_lines
from wenet_lite.errors import DataError

INDEX_CURE = "wenet-lite make_list --index <list> makes the index"
_SCHEMA = 1


def index_path(path: str | os.PathLike[str]) -> str:
    """Where the index of a list or shard lies: `<path>.index`."""
    return os.fspath(path) + ".index"


@dataclass(frozen=True)
class IndexHeader:
    """The first line of an index.

    Attributes:
        size: bytes of the file that it describes.
        sha256: of that file; "" where nobody has read the file as a whole.
    """

    size: int
    sha256: str = ""

    @classmethod
    def parse(cls, line: bytes, path: str | os.PathLike[str]) -> IndexHeader:
        """Read the first line of an index.

        Raises:
            DataError: if it is no such line.
        """
        try:
            tree = json.loads(line)
            known = tree["schema"] == _SCHEMA and isinstance(tree["size"], int) and isinstance(tree["sha256"], str)
        except (ValueError, TypeError, KeyError, RecursionError):
            known = False
        if not known:
            raise DataError("is no index, or one of another version", path=path, line=1, cure=INDEX_CURE)
        return cls(tree["size"], tree["sha256"])

    def is_stale(self, path: str | os.PathLike[str]) -> bool:
        """Whether the file at `path` is missing or has another size."""
        try:
            return os.path.getsize(path) != self.size
        except OSError:
            return True


def write_index(header: IndexHeader, entries: Iterable[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Write an index, by rename."""
    first = {"schema": _SCHEMA, "size": header.size, "sha256": header.sha256}
    write_lines(path, (json.dumps(line, ensure_ascii=False).encode() for line in (first, *entries)))


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while portion := stream.read(1 << 20):
            digest.update(portion)
    return digest.hexdigest()
