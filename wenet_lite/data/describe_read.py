"""Data sets as they stand on the disk, faulty lines and all: from Kaldi data directories and from lists."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from wenet_lite.data.audio import audio_info
from wenet_lite.data.kaldi import PathLike, read_table
from wenet_lite.data.list_line import COMMAND_CURE, COMMAND_FAULT
from wenet_lite.data.manifest import read_manifest
from wenet_lite.data.prepare import read_spans
from wenet_lite.data.utterance import Utterance
from wenet_lite.errors import AudioError, DataError

PIPE_REASON = f"{COMMAND_FAULT} ({COMMAND_CURE})"
_CURE = "give a Kaldi data directory with wav.scp, text and utt2spk, or a data.list"


@dataclass(frozen=True)
class Problem:
    """Attributes:
    key: utterance id.
    reason: what is wrong with the utterance, in words.
    """

    key: str
    reason: str


@dataclass(frozen=True)
class DataSet:
    """Attributes:
    name: short, unlike that of any other set.
    path: as the user gave it.
    utterances: all that have text, speaker, audio and a duration. Where a data directory has utt2dur or segments,
        no header is read: `num_samples` and `sample_rate` are 0 then.
    left_out: the others.
    """

    name: str
    path: str
    utterances: Sequence[Utterance]
    left_out: Sequence[Problem]


def read_data_sets(paths: Sequence[PathLike], jobs: int, *, allow_pipes: bool = False) -> list[DataSet]:
    """Read data directories and lists.

    Args:
        paths: Kaldi data directories, and lists of utterances or of shards.
        jobs: audio headers read at a time, where a directory has neither utt2dur nor segments.
        allow_pipes: whether the commands of wav.scp may be run for that.
    Raises:
        DataError: if a path is given twice, a file is missing or malformed, or a set has no line.
    """
    given = [os.fspath(path) for path in paths]
    for path in given:
        if [os.path.realpath(other) for other in given].count(os.path.realpath(path)) > 1:
            raise DataError("is given twice", path=path, cure="name each set once")
    sets = []
    for name, path in zip(_names(given), given):
        if os.path.isdir(path):
            utterances, left_out = _read_directory(Path(path), jobs, allow_pipes)
        else:
            utterances, left_out = _read_list(path)
        if not utterances and not left_out:
            raise DataError("has no utterance", path=path, cure=_CURE)
        sets.append(DataSet(name, path, utterances, left_out))
    return sets


def _names(paths: Sequence[str]) -> list[str]:
    """The folder's name where the list is called data.list, else the list's; the path where that is ambiguous."""
    full = [Path(os.path.abspath(path)) for path in paths]
    names = [path.parent.name if path.name == "data.list" else path.name for path in full]
    return [name if names.count(name) == 1 else path for name, path in zip(names, paths)]


def _read_list(path: str) -> tuple[list[Utterance], list[Problem]]:
    if not os.path.exists(path):
        raise DataError("is not there", path=path, cure=_CURE)
    manifest = read_manifest(path, allow_pipes=True)  # reading it runs nothing
    left_out = [Problem(key, reason) for key, reason in manifest.rejected]
    return _usable(list(manifest), left_out)


def _read_directory(folder: Path, jobs: int, allow_pipes: bool) -> tuple[list[Utterance], list[Problem]]:
    for name in ("wav.scp", "text", "utt2spk"):
        if not (folder / name).is_file():
            raise DataError("is not there", path=folder / name, cure=_CURE)
    spans, texts, speakers = read_spans(folder), read_table(folder / "text"), read_table(folder / "utt2spk")
    durations = _durations(folder / "utt2dur")
    has_segments = (folder / "segments").exists()
    tables: dict[str, Collection[str]] = {
        "text": texts,
        "utt2spk": speakers,
        "segments" if has_segments else "wav.scp": spans,
    }
    if durations is not None:
        tables["utt2dur"] = durations
    utterances, left_out = [], []
    complete = set(texts).intersection(*tables.values())
    for key in dict.fromkeys([*texts, *speakers]):
        if key not in complete:
            missing = " and ".join(name for name, table in tables.items() if key not in table)
            left_out.append(Problem(key, f"is not in {missing}"))
            continue
        wav, start, end = spans[key]
        duration = 0.0
        if durations is not None:
            duration = durations[key]
        elif start is not None and end is not None:
            duration = end - start
        utterances.append(Utterance(key, wav, texts[key], duration, 0, 0, speakers[key], start, end))
    if durations is None and not has_segments:
        utterances = _with_headers(utterances, left_out, jobs, allow_pipes)
    return _usable(utterances, left_out)


def _with_headers(
    utterances: Sequence[Utterance], left_out: list[Problem], jobs: int, allow_pipes: bool
) -> list[Utterance]:
    """The utterances with the lengths that their headers tell; those that cannot be read are added to `left_out`."""

    def with_header(utterance: Utterance) -> Utterance | Problem:
        if utterance.wav.endswith("|") and not allow_pipes:
            return Problem(utterance.key, PIPE_REASON)
        try:
            info = audio_info(utterance.source)
        except AudioError as error:
            return Problem(utterance.key, str(error))
        return replace(utterance, duration=info.duration, num_samples=info.num_samples, sample_rate=info.sample_rate)

    with ThreadPoolExecutor(jobs) as pool:
        found = list(pool.map(with_header, utterances))
    left_out += [entry for entry in found if isinstance(entry, Problem)]
    return [entry for entry in found if isinstance(entry, Utterance)]


def _usable(utterances: Sequence[Utterance], left_out: list[Problem]) -> tuple[list[Utterance], list[Problem]]:
    usable = []
    for utterance in utterances:
        if not 0 < utterance.duration < math.inf:
            left_out.append(Problem(utterance.key, f"has a duration of {utterance.duration} s"))
        elif not utterance.txt.isascii() and any("\ud800" <= character <= "\udfff" for character in utterance.txt):
            left_out.append(Problem(utterance.key, "has half a surrogate pair in its transcript"))
        else:
            usable.append(utterance)
    return usable, left_out


def _durations(path: Path) -> dict[str, float] | None:
    if not path.is_file():
        return None
    durations = {}
    for number, (key, value) in enumerate(read_table(path).items(), 1):
        try:
            durations[key] = float(value)
        except ValueError as error:
            raise DataError(f"has a duration that is no number: '{value}'", path=path, line=number) from error
    return durations
