"""Data sets as they stand on the disk, faulty lines and all: from Kaldi data directories and from lists."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from wenet_lite.data.audio import AudioCommand, AudioFile, AudioInfo, audio_info
from wenet_lite.data.kaldi import PathLike, read_table
from wenet_lite.data.manifest import Utterance, read_manifest
from wenet_lite.errors import AudioError, DataError

_CURE = "give a Kaldi data directory with wav.scp, text and utt2spk, or a data.list"
PIPE_REASON = "is a command, which is not run unasked (--allow-pipes runs it)"


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
    """The folder's name, or the list's unless all lists have that name; the whole path where that is ambiguous."""
    full = [Path(os.path.abspath(path)) for path in paths]
    names = [path.parent.name if path.name == "data.list" else path.name for path in full]
    return [name if names.count(name) == 1 else path for name, path in zip(names, paths)]


def _read_list(path: str) -> tuple[list[Utterance], list[Problem]]:
    if not os.path.exists(path):
        raise DataError("is not there", path=path, cure=_CURE)
    manifest = read_manifest(path, allow_pipes=True)  # reading it runs nothing
    utterances, left_out = [], [Problem(key, reason) for key, reason in manifest.rejected]
    for utterance in manifest:
        if 0 < utterance.duration < math.inf:
            utterances.append(utterance)
        else:
            left_out.append(Problem(utterance.key, f"has a duration of {utterance.duration} s"))
    return utterances, left_out


def _read_directory(folder: Path, jobs: int, allow_pipes: bool) -> tuple[list[Utterance], list[Problem]]:
    tables = _KaldiTables(folder, jobs, allow_pipes)
    utterances, left_out = [], []
    for key in dict.fromkeys([*tables.texts, *tables.speakers]):
        entry = tables.utterance(key)
        if isinstance(entry, Utterance):
            utterances.append(entry)
        else:
            left_out.append(Problem(key, entry))
    return utterances, left_out


class _KaldiTables:
    """The files of a data directory that say what an utterance is."""

    def __init__(self, folder: Path, jobs: int, allow_pipes: bool) -> None:
        for name in ("wav.scp", "text", "utt2spk"):
            if not (folder / name).is_file():
                raise DataError("is not there", path=folder / name, cure=_CURE)
        self.wav_scp = read_table(folder / "wav.scp")
        self.texts = read_table(folder / "text")
        self.speakers = read_table(folder / "utt2spk")
        self.spans = _spans(folder / "segments")
        self.durations = _durations(folder / "utt2dur")
        self.infos: dict[str, AudioInfo | str] = {}
        if self.durations is None and self.spans is None:
            self.infos = _headers(self.wav_scp, jobs, allow_pipes)

    def utterance(self, key: str) -> Utterance | str:
        """An utterance, or the reason why it is none."""
        text, speaker = self.texts.get(key), self.speakers.get(key)
        recording, start, end = (key, None, None) if self.spans is None else self.spans.get(key, (None, None, None))
        if text is None or speaker is None or recording is None:
            return f"is not in {'text' if text is None else 'utt2spk' if speaker is None else 'segments'}"
        wav = self.wav_scp.get(recording)
        if wav is None:
            return f"has no audio: '{recording}' is not in wav.scp"
        if not wav.endswith("|"):
            wav = os.path.abspath(wav)
        info = self.infos.get(recording)
        if isinstance(info, str):
            return info
        if self.durations is not None:
            duration = self.durations.get(key)
        elif start is not None and end is not None:
            duration = end - start
        else:
            duration = None if info is None else info.duration
        if duration is None:
            return "is not in utt2dur"
        if not 0 < duration < math.inf:
            return f"has a duration of {duration} s"
        num_samples, sample_rate = (0, 0) if info is None else (info.num_samples, info.sample_rate)
        return Utterance(key, wav, text, duration, num_samples, sample_rate, speaker, start, end)


def _headers(wav_scp: dict[str, str], jobs: int, allow_pipes: bool) -> dict[str, AudioInfo | str]:
    def header(wav: str) -> AudioInfo | str:
        if wav.endswith("|") and not allow_pipes:
            return f"{wav}: {PIPE_REASON}"
        try:
            return audio_info(AudioCommand(wav[:-1].strip()) if wav.endswith("|") else AudioFile(wav))
        except AudioError as error:
            return str(error)

    with ThreadPoolExecutor(jobs) as pool:
        return dict(zip(wav_scp, pool.map(header, wav_scp.values())))


def _spans(path: Path) -> dict[str, tuple[str, float, float]] | None:
    if not path.is_file():
        return None
    spans = {}
    for number, (key, line) in enumerate(read_table(path).items(), 1):
        try:
            recording, start, end = line.split()
            spans[key] = (recording, float(start), float(end))
        except ValueError as error:
            raise DataError("is not '<utt> <reco> <start> <end>'", path=path, line=number) from error
    return spans


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
