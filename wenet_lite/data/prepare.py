"""From a Kaldi data directory to manifest lines."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from wenet_lite.data.audio import AudioInfo, audio_info
from wenet_lite.data.audio_source import AudioSource
from wenet_lite.data.kaldi import read_table
from wenet_lite.data.utterance import Utterance
from wenet_lite.errors import AudioError, DataError

Span = tuple[str, float | None, float | None]
"""A recording, path or command, and start and end in seconds of what is taken of it."""


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
    texts = {key: rules(text) for key, text in read_table(folder / "text").items()}
    spans, speakers = read_spans(folder), read_table(folder / "utt2spk")
    return utterances_from(texts, spans, speakers, folder, allow_pipes=allow_pipes, jobs=jobs)


def utterances_from(
    texts: Mapping[str, str],
    spans: Mapping[str, Span],
    speakers: Mapping[str, str],
    where: str | os.PathLike[str],
    *,
    allow_pipes: bool = False,
    jobs: int = 8,
) -> tuple[list[Utterance], dict[str, str]]:
    """What `utterances_of` does, of tables that are read already.

    Args:
        texts: transcript of each utterance, after the rules.
        spans: its recording and span.
        speakers: its speaker; empty where nobody asks for them.
        where: they come from, for messages.
        allow_pipes, jobs: as for `utterances_of`.
    """
    placed = []
    for key, txt in texts.items():
        if key not in spans or (speakers and key not in speakers):
            message = f"utterance '{key}' is not in wav.scp or utt2spk"
            raise DataError(message, path=where, cure="tools/fix_data_dir.sh")
        wav, start, end = spans[key]
        if wav.endswith("|") and not allow_pipes:
            message = f"has a command for '{key}', which is not run unasked"
            raise DataError(message, path=where, cure="--allow-pipes runs it")
        placed.append(Utterance(key, wav, txt, 0.0, 0, 1, speakers.get(key, ""), start, end))
    sources = list(dict.fromkeys(utterance.source for utterance in placed))
    with ThreadPoolExecutor(jobs) as pool:
        infos = dict(zip(sources, pool.map(_info_or_error, sources)))
    utterances: list[Utterance] = []
    failed: dict[str, str] = {}
    for utterance in placed:
        info = infos[utterance.source]
        if isinstance(info, AudioError):
            failed[utterance.key] = str(info)
        elif not utterance.txt:
            failed[utterance.key] = "has an empty transcript"
        else:
            utterances.append(_with_length(utterance, info))
    return utterances, failed


def read_spans(data_dir: str | os.PathLike[str]) -> dict[str, Span]:
    """For each utterance of a data directory its recording, an absolute path or a command, and its span in seconds.

    Raises:
        DataError: if wav.scp or segments is missing or malformed.
    """
    segments = Path(data_dir) / "segments"
    return spans_from(Path(data_dir) / "wav.scp", segments if segments.exists() else None)


def spans_from(wav_scp: str | os.PathLike[str], segments: str | os.PathLike[str] | None) -> dict[str, Span]:
    """What `read_spans` does, of files with any names."""
    recordings = {key: wav if wav.endswith("|") else os.path.abspath(wav) for key, wav in read_table(wav_scp).items()}
    if segments is None:
        return {key: (wav, None, None) for key, wav in recordings.items()}
    spans: dict[str, Span] = {}
    for number, (key, line) in enumerate(read_table(segments).items(), 1):
        fields = line.split()
        try:
            recording, start, end = fields[0], float(fields[1]), float(fields[2])
        except (IndexError, ValueError) as error:
            raise DataError("Bad line in segments file", path=segments, line=number) from error
        if recording not in recordings or len(fields) != 3 or not 0 <= start < end < math.inf:
            raise DataError("Bad line in segments file", path=segments, line=number)
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
