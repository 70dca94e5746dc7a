"""What data sets hold, each for itself and compared with the others: hours, lengths, texts, likely mistakes, audio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wenet_lite.data.describe_audio import AudioDescription, AudioOptions, describe_audio, measure_audio
from wenet_lite.data.describe_distribution import Distribution, distributions
from wenet_lite.data.describe_overlap import Overlap, overlaps
from wenet_lite.data.describe_read import DataSet, Problem
from wenet_lite.data.describe_text import TextDescription, describe_texts
from wenet_lite.data.kaldi import PathLike


@dataclass(frozen=True)
class DescribeOptions:
    """Attributes:
    audio: how audio is read; None leaves it alone.
    examples: items of each list.
    lang_dir: its units are compared with the transcripts; None for none.
    """

    audio: AudioOptions | None = None
    examples: int = 20
    lang_dir: PathLike | None = None


@dataclass(frozen=True)
class SetDescription:
    """Attributes:
    name, path: of the set.
    num_utterances: those that can be used.
    left_out: the others.
    hours: of all utterances.
    num_speakers: speakers that are named.
    speaker_hours: how they share the hours; None without speakers.
    durations: seconds of the utterances.
    sample_rates: Hz -> utterances, as lists and headers tell it, or else the audio that was read.
    text: the transcripts.
    audio: None where it was not asked for.
    """

    name: str
    path: str
    num_utterances: int
    left_out: tuple[Problem, ...]
    hours: float
    num_speakers: int
    speaker_hours: Distribution | None
    durations: Distribution | None
    sample_rates: dict[int, int]
    text: TextDescription
    audio: AudioDescription | None


@dataclass(frozen=True)
class DataDescription:
    """Attributes:
    sets: in the order in which they were given.
    overlaps: every kind for every pair of sets.
    """

    sets: tuple[SetDescription, ...]
    overlaps: tuple[Overlap, ...]


def describe(sets: Sequence[DataSet], options: DescribeOptions) -> DataDescription:
    """Measure data sets; histograms of one measure have the same bins for all sets.

    Args:
        sets: at least one; the later ones are compared with the first.
        options: what is measured.
    Raises:
        DataError: if the lang directory is malformed.
    """
    texts = describe_texts(sets, options.examples, options.lang_dir)
    shared = overlaps(sets, options.examples)
    audio: Sequence[AudioDescription | None] = [None] * len(sets)
    if options.audio is not None:
        measured = [measure_audio(data_set.utterances, options.audio) for data_set in sets]
        audio = describe_audio(measured, options.examples)
    durations = distributions([np.array([u.duration for u in data_set.utterances]) for data_set in sets])
    speaker_hours = [_speaker_hours(data_set) for data_set in sets]
    speaker_spreads = distributions([np.array(list(hours.values())) for hours in speaker_hours])
    described = [
        SetDescription(
            name=data_set.name,
            path=data_set.path,
            num_utterances=len(data_set.utterances),
            left_out=tuple(data_set.left_out),
            hours=sum(utterance.duration for utterance in data_set.utterances) / 3600,
            num_speakers=len(speaker_hours[i]),
            speaker_hours=speaker_spreads[i],
            durations=durations[i],
            sample_rates=_sample_rates(data_set, audio[i]),
            text=texts[i],
            audio=audio[i],
        )
        for i, data_set in enumerate(sets)
    ]
    return DataDescription(tuple(described), shared)


def _speaker_hours(data_set: DataSet) -> dict[str, float]:
    hours: dict[str, float] = {}
    for utterance in data_set.utterances:
        if utterance.speaker:
            hours[utterance.speaker] = hours.get(utterance.speaker, 0.0) + utterance.duration / 3600
    return hours


def _sample_rates(data_set: DataSet, audio: AudioDescription | None) -> dict[int, int]:
    told = Counter(utterance.sample_rate for utterance in data_set.utterances if utterance.sample_rate)
    if told or audio is None:
        return dict(sorted(told.items()))
    return audio.sample_rates
