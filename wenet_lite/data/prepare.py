"""From a Kaldi data directory to manifest lines."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from wenet_lite.data.audio import AudioInfo, AudioSource, audio_info
from wenet_lite.data.kaldi import read_table
from wenet_lite.data.manifest import Utterance
from wenet_lite.errors import AudioError, DataError


def utterances_of(
    data_dir: str | os.PathLike[str], rules: Callable[[str], str], *, allow_pipes: bool = False, jobs: int = 8
) -> tuple[list[Utterance], dict[str, str]]:
    """Read wav.scp, text, utt2spk and, where there are any, segments; headers tell the lengths.

    Args:
        data_dir: a valid Kaldi data directory.
        rules: applied to each transcript.
        allow_pipes: whether the commands of wav.scp may be run.
        jobs: headers read at a time.
    Returns:
        the utterances that can be used, and id and reason of each that cannot: its audio cannot be read, or
        nothing is left of its transcript.
    Raises:
        DataError: if a file is missing or malformed, or has a command that is not allowed.
    """
    folder = Path(data_dir)
    texts, speakers = read_table(folder / "text"), read_table(folder / "utt2spk")
    spans = read_spans(folder)
    placed = []
    for key, text in texts.items():
        if key not in spans or key not in speakers:
            message = f"utterance '{key}' is not in wav.scp or utt2spk"
            raise DataError(message, path=folder, cure="tools/fix_data_dir.sh")
        wav, start, end = spans[key]
        if wav.endswith("|") and not allow_pipes:
            raise DataError(
                f"has a command for '{key}', which is not run unasked",
                path=folder / "wav.scp",
                cure="--allow-pipes runs it",
            )
        placed.append(Utterance(key, wav, rules(text), 0.0, 0, 1, speakers[key], start, end))
    with ThreadPoolExecutor(jobs) as pool:
        sources = list(dict.fromkeys(utterance.source for utterance in placed))
        infos = dict(zip(sources, pool.map(_info_or_error, sources)))
    utterances, failed = [], {}
    for utterance in placed:
        info = infos[utterance.source]
        if isinstance(info, AudioError):
            failed[utterance.key] = str(info)
        elif not utterance.txt:
            failed[utterance.key] = "has an empty transcript"
        else:
            utterances.append(_with_length(utterance, info))
    return utterances, failed


def read_spans(data_dir: str | os.PathLike[str]) -> dict[str, tuple[str, float | None, float | None]]:
    """For each utterance of a data directory its recording, an absolute path or a command, and its span in seconds.

    Raises:
        DataError: if wav.scp or segments is missing or malformed.
    """
    folder = Path(data_dir)
    recordings = {
        key: wav if wav.endswith("|") else os.path.abspath(wav) for key, wav in read_table(folder / "wav.scp").items()
    }
    path = folder / "segments"
    if not path.exists():
        return {key: (wav, None, None) for key, wav in recordings.items()}
    spans: dict[str, tuple[str, float | None, float | None]] = {}
    for number, (key, line) in enumerate(read_table(path).items(), 1):
        fields = line.split()
        try:
            recording, start, end = fields[0], float(fields[1]), float(fields[2])
        except (IndexError, ValueError) as error:
            raise DataError("Bad line in segments file", path=path, line=number) from error
        if recording not in recordings or len(fields) != 3 or not 0 <= start < end:
            raise DataError("Bad line in segments file", path=path, line=number)
        spans[key] = (recordings[recording], start, end)
    return spans


def _info_or_error(source: AudioSource) -> AudioInfo | AudioError:
    try:
        return audio_info(source)
    except AudioError as error:
        return error


def _with_length(utterance: Utterance, info: AudioInfo) -> Utterance:
    num_samples = info.samples_between(utterance.start, utterance.end)
    duration = round(num_samples / info.sample_rate, 4)
    return replace(utterance, duration=duration, num_samples=num_samples, sample_rate=info.sample_rate)
