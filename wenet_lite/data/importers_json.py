"""JSON lines, gzipped or not, with the number of each line."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from typing import Any

from wenet_lite.data.kaldi import PathLike
from wenet_lite.errors import DataError

JsonObject = dict[str, Any]
_GZIP_MAGIC = b"\x1f\x8b"


def read_json_lines(path: PathLike) -> Iterator[tuple[int, JsonObject]]:
    """The objects of a file, each with its line number.

    Raises:
        DataError: if the file cannot be read, is torn, or has a line that is no JSON object.
    """
    zipped = os.fspath(path).endswith(".gz")
    try:
        with gzip.open(path) if zipped else open(path, "rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield number, _parse(line, path, number)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        cure = "take .gz from its name if it is not zipped; copy it again if it is"
        raise DataError(f"is no whole gzip file: {error}", path=path, cure=cure) from error
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror}", path=path) from error


def _parse(line: bytes, path: PathLike, number: int) -> JsonObject:
    try:
        value = json.loads(line.decode("utf-8-sig").strip())
    except UnicodeDecodeError as error:
        cure = "name it .gz" if line.startswith(_GZIP_MAGIC) else "convert the file with iconv"
        raise DataError("is not UTF-8", path=path, line=number, cure=cure) from error
    except json.JSONDecodeError as error:
        message = f"is no JSON: {error.msg} at column {error.colno}"
        raise DataError(message, path=path, line=number, cure="there must be one whole object in each line") from error
    if not isinstance(value, dict):
        cure = "there must be one whole object in each line"
        raise DataError(f"is no JSON object but a {type(value).__name__}", path=path, line=number, cure=cure)
    return value
