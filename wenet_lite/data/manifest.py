"""`data.list`: one JSON line an utterance."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from wenet_lite.errors import DataError

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of `data.list`.

    Attributes:
        key: utterance id.
        wav: path of the audio file.
        txt: transcript after the text rules.
        duration: seconds.
        num_samples: samples of the utterance at `sample_rate`.
        sample_rate: Hz.
        speaker: speaker id.
        start, end: span inside `wav`, in seconds, for segments.
    """

    key: str
    wav: str
    txt: str
    duration: float
    num_samples: int
    sample_rate: int
    speaker: str = ""
    start: float | None = None
    end: float | None = None


def write_manifest(utterances: Iterable[Utterance], path: str | os.PathLike[str]) -> int:
    """Write utterances, by rename; returns how many."""
    target = Path(path)
    temporary = target.with_name(target.name + ".tmp")
    count = 0
    with open(temporary, "w", encoding="utf-8") as stream:
        for utterance in utterances:
            line = {key: value for key, value in asdict(utterance).items() if value is not None}
            stream.write(json.dumps({**line, "schema": SCHEMA}, ensure_ascii=False) + "\n")
            count += 1
    temporary.replace(target)
    return count


def read_manifest(path: str | os.PathLike[str]) -> list[Utterance]:
    """Read `data.list`; relative audio paths are taken from the list's folder.

    Raises:
        DataError: naming the line that is malformed, of another schema, without a duration, or a duplicate.
    """
    folder = Path(path).resolve().parent
    utterances: list[Utterance] = []
    seen: set[str] = set()
    try:
        with open(path, encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                utterance = _parse(line, path, number)
                if utterance.key in seen:
                    raise DataError(f"duplicate key '{utterance.key}'", path=path, line=number)
                seen.add(utterance.key)
                if not os.path.isabs(utterance.wav):
                    utterance = replace(utterance, wav=os.fspath(folder / utterance.wav))
                utterances.append(utterance)
    except OSError as error:
        raise DataError(f"cannot read the list: {error.strerror}", path=path, cure="stage 3 makes it") from error
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8", path=path) from error
    if not utterances:
        raise DataError("lists no utterance", path=path, cure="make it anew with stage 3")
    return utterances


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
}


def _parse(line: str, path: str | os.PathLike[str], number: int) -> Utterance:
    try:
        tree: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise DataError("is not JSON", path=path, line=number) from error
    if not isinstance(tree, dict):
        raise DataError("is not a JSON object", path=path, line=number)
    if tree.get("schema", SCHEMA) != SCHEMA:
        raise DataError(f"has schema {tree['schema']}, known is {SCHEMA}", path=path, line=number)
    values = {name: tree[name] for name in _TYPES if name in tree}
    for name in ("key", "wav", "txt", "duration", "num_samples", "sample_rate"):
        if name not in values:
            raise DataError(f"lacks '{name}'", path=path, line=number, cure="make the list with stage 3")
    for name, value in values.items():
        if not isinstance(value, _TYPES[name]) or isinstance(value, bool):
            raise DataError(f"'{name}' has the wrong type: {value!r}", path=path, line=number)
    if values["num_samples"] < 0 or values["sample_rate"] <= 0:
        raise DataError("num_samples or sample_rate is negative", path=path, line=number)
    return Utterance(**values)
