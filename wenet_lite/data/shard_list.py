"""Lists of shards: one local path, URL or command a line."""

from __future__ import annotations

import os

from wenet_lite.data.list_index import index_path
from wenet_lite.data.list_line import command_error, open_list
from wenet_lite.errors import DataError


def is_shard_list(path: str | os.PathLike[str]) -> bool:
    """Whether a list has shards, not utterances.

    Raises:
        DataError: if it cannot be read.
    """
    with open_list(path) as stream:
        first = next((line.strip() for line in stream if line.strip()), b"")
    return b".tar" in first and not first.startswith((b"{", b"["))


def read_shard_list(path: str | os.PathLike[str], *, allow_pipes: bool = False) -> tuple[str, ...]:
    """The shards of a list: local paths (made absolute), URLs, or commands.

    Raises:
        DataError: if it is not UTF-8, has a character that no path has, or a command and `allow_pipes` is not given.
    """
    folder = os.path.dirname(os.path.abspath(path))
    shards = []
    with open_list(path) as stream:
        for number, content in enumerate(stream, 1):
            try:
                shard = content.decode().strip()
            except UnicodeDecodeError as error:
                raise DataError("is not UTF-8", path=path, line=number) from error
            if not shard.isprintable():
                raise DataError("holds characters that no path has", path=path, line=number)
            if shard.endswith("|") and not allow_pipes:
                raise command_error(path, number)
            local = local_path(shard)
            if shard:
                shards.append(shard if local is None else os.path.join(folder, local))
    return tuple(shards)


def local_path(shard: str) -> str | None:
    """The path of a shard on a local disk; None for one that comes from a URL or a command."""
    if shard.startswith("file:"):
        return shard.removeprefix("file:").removeprefix("//")
    return None if "://" in shard or shard.endswith("|") else shard


def shard_index(shard: str, list_path: str | os.PathLike[str]) -> str:
    """Where the index of a shard lies: beside it, or beside the list where it is not a local file."""
    local = local_path(shard)
    if local is not None:
        return index_path(local)
    names = [word.strip("'\";").rpartition("/")[2] for word in shard.split("?")[0].replace("|", " ").split()]
    name = next((name for name in reversed(names) if name.endswith(".tar")), "shard.tar")
    return index_path(os.path.join(os.path.dirname(os.path.abspath(list_path)), name))
