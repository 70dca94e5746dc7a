"""Files of lines that are plain, or gzipped where their name ends in `.gz`."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator

from wenet_lite.data.kaldi import PathLike, renamed_when_written, write_lines
from wenet_lite.errors import DataError


def read_any_lines(path: PathLike) -> Iterator[bytes]:
    """The lines of a file with their line feeds, read as they are asked for.

    Raises:
        DataError: if the file cannot be read, or is not what its name says.
    """
    try:
        with gzip.open(path) if _is_gzip(path) else open(path, "rb") as stream:
            yield from stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError("is not a whole gzip file", path=path, cure="make or fetch it again") from error
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror}", path=path) from error


def write_any_lines(path: PathLike, lines: Iterable[bytes]) -> None:
    """Write lines, each closed by a line feed, to a temporary name that is then renamed; same lines, same file.

    Raises:
        DataError: if there is no such folder.
    """
    if not _is_gzip(path):
        write_lines(path, lines)
        return
    with renamed_when_written(path) as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as stream:
        stream.writelines(line + b"\n" for line in lines)


def _is_gzip(path: PathLike) -> bool:
    return os.fspath(path).endswith(".gz")
