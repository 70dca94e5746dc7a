"""Utterances of a Hugging Face audio folder: audio files, and beside them metadata.csv or metadata.jsonl."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from wenet_lite.data.importers_csv import Row, choose_columns, csv_utterances, utterances_of_rows
from wenet_lite.data.importers_json import read_json_lines
from wenet_lite.data.importers_source import SourceUtterance
from wenet_lite.data.kaldi import PathLike
from wenet_lite.errors import DataError

_NAMES = ("metadata.csv", "metadata.jsonl")


def hf_splits(folder: PathLike) -> dict[str, Path]:
    """The metadata files of a folder: path of its split in the folder -> file; "." where there are no splits.

    Raises:
        DataError: if there is no metadata, or more than one file for a split.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError("no such folder", path=folder)
    splits: dict[str, Path] = {}
    for file in sorted(file for depth in ("", "*/", "*/*/") for name in _NAMES for file in root.glob(depth + name)):
        other = splits.setdefault(file.parent.relative_to(root).as_posix(), file)
        if other != file:
            raise DataError(f"there is {other.name} too", path=file, cure="remove one of them")
    if not splits:
        cure = "a folder of parquet files is no audio folder; export its audio and metadata.csv first"
        raise DataError(f"has no {' or '.join(_NAMES)}, in it or in its subfolders", path=folder, cure=cure)
    if "." in splits and len(splits) > 1:
        raise DataError("has metadata of its own and in subfolders", path=folder, cure="import them one by one")
    return splits


def hf_utterances(
    metadata: PathLike,
    audio_dir: PathLike | None = None,
    columns: Mapping[str, str] | None = None,
    *,
    quotes: bool = True,
) -> Iterator[SourceUtterance]:
    """The utterances of a metadata file.

    Args:
        metadata: metadata.csv or metadata.jsonl with `file_name` and a column for the text.
        audio_dir: what file names are relative to; by default the folder of the metadata.
        columns, quotes: as for `csv_utterances`.
    Raises:
        DataError: if the file cannot be read, or lacks a column.
    """
    path = Path(metadata)
    named = {"audio": "file_name", **(columns or {})}
    if path.suffix == ".csv":
        return csv_utterances(path, audio_dir or path.parent, named, quotes=quotes)
    rows: list[Row] = [
        (line, {heading: _cell(value) for heading, value in record.items()}) for line, record in read_json_lines(path)
    ]
    header = list(dict.fromkeys(heading for _, row in rows for heading in row))
    return utterances_of_rows(rows, choose_columns(header, named, path), path, audio_dir or path.parent)


def _cell(value: object) -> str:
    """A value as a table would have it; what is no plain value is none of ours."""
    if isinstance(value, str):
        return value
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return str(value) if is_number else ""
