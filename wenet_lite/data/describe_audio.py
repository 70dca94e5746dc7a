"""What the audio of data sets is like: levels, clipping, silence, offset; in several processes."""

from __future__ import annotations

import multiprocessing
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from wenet_lite.data.audio import read_audio
from wenet_lite.data.describe_distribution import Distribution, distributions
from wenet_lite.data.describe_measures import AudioMeasures, faults, measure
from wenet_lite.data.describe_read import PIPE_REASON, Problem
from wenet_lite.data.utterance import Utterance
from wenet_lite.errors import AudioError

_SEED = 0
_CHUNK = 16


@dataclass(frozen=True)
class AudioOptions:
    """Attributes:
    jobs: processes; they change nothing but the time.
    max_utterances: of each set, drawn with a fixed seed; 0 for all.
    allow_pipes: whether commands may be run; where not, they are listed as unreadable.
    """

    jobs: int = 1
    max_utterances: int = 2000
    allow_pipes: bool = False


@dataclass(frozen=True)
class MeasuredAudio:
    """Attributes:
    utterances: those that were read.
    measures: theirs.
    unreadable: those that could not be read.
    """

    utterances: Sequence[Utterance]
    measures: Sequence[AudioMeasures]
    unreadable: Sequence[Problem]


@dataclass(frozen=True)
class AudioDescription:
    """The audio of a set, or of the part of it that was drawn.

    Attributes:
        num_read: utterances that were read.
        hours: theirs.
        sample_rates: Hz -> utterances.
        level, silence, leading, trailing, offset: how the measures of `AudioMeasures` spread over utterances, the
            offset without its sign; None where nothing was read.
        clipped_share: part of all samples that are clipped.
        silence_share, leading_share, trailing_share: part of the whole time.
        faults: kind of fault -> utterances that have it.
        num_faulty: utterances with a fault.
        faulty: the worst of them, worst first.
        unreadable: all that could not be read.
    """

    num_read: int
    hours: float
    sample_rates: dict[int, int]
    level: Distribution | None
    silence: Distribution | None
    leading: Distribution | None
    trailing: Distribution | None
    offset: Distribution | None
    clipped_share: float
    silence_share: float
    leading_share: float
    trailing_share: float
    faults: dict[str, int]
    num_faulty: int
    faulty: tuple[Problem, ...]
    unreadable: tuple[Problem, ...]


def measure_audio(utterances: Sequence[Utterance], options: AudioOptions) -> MeasuredAudio:
    """Read utterances of one set and measure them; what cannot be read is listed and stops nothing."""
    drawn = _drawn(utterances, options.max_utterances)
    work = _measure_or_run if options.allow_pipes else _measure_file
    if options.jobs > 1:
        with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
            results = _with_progress(pool.map(work, drawn, chunksize=_CHUNK), len(drawn))
    else:
        results = _with_progress(map(work, drawn), len(drawn))
    found = list(zip(drawn, results))
    return MeasuredAudio(
        utterances=[utterance for utterance, result in found if isinstance(result, AudioMeasures)],
        measures=[result for _, result in found if isinstance(result, AudioMeasures)],
        unreadable=[Problem(utterance.key, result) for utterance, result in found if isinstance(result, str)],
    )


def describe_audio(sets: Sequence[MeasuredAudio], number: int) -> list[AudioDescription]:
    """Sum up the measures of each set and list the `number` worst utterances of each."""
    columns: dict[str, Callable[[AudioMeasures], float]] = {
        "level": lambda measures: measures.level,
        "silence": lambda measures: measures.silence,
        "leading": lambda measures: measures.leading,
        "trailing": lambda measures: measures.trailing,
        "offset": lambda measures: abs(measures.offset),
    }
    spreads = {
        name: distributions([np.array([of(measures) for measures in found.measures]) for found in sets])
        for name, of in columns.items()
    }
    return [
        _describe(found, {name: spread[i] for name, spread in spreads.items()}, number) for i, found in enumerate(sets)
    ]


def _describe(found: MeasuredAudio, spreads: dict[str, Distribution | None], number: int) -> AudioDescription:
    seconds = sum(measures.duration for measures in found.measures)

    def share(of: Callable[[AudioMeasures], float]) -> float:
        return sum(of(measures) for measures in found.measures) / max(seconds, 1e-9)

    faulty = []
    kinds: Counter[str] = Counter()
    for utterance, measures in zip(found.utterances, found.measures):
        its_faults = sorted(faults(measures, utterance.duration), key=lambda fault: -fault.excess)
        kinds.update(fault.kind for fault in its_faults)
        if its_faults:
            reason = "; ".join(fault.reason for fault in its_faults)
            faulty.append((its_faults[0].excess, Problem(utterance.key, reason)))
    faulty.sort(key=lambda item: (-item[0], item[1].key))
    return AudioDescription(
        num_read=len(found.measures),
        hours=seconds / 3600,
        sample_rates=dict(sorted(Counter(measures.sample_rate for measures in found.measures).items())),
        **spreads,
        clipped_share=share(lambda measures: measures.clipped * measures.duration),
        silence_share=share(lambda measures: measures.silence * measures.duration),
        leading_share=share(lambda measures: measures.leading),
        trailing_share=share(lambda measures: measures.trailing),
        faults=dict(kinds.most_common()),
        num_faulty=len(faulty),
        faulty=tuple(problem for _, problem in faulty[:number]),
        unreadable=tuple(found.unreadable),
    )


def _drawn(utterances: Sequence[Utterance], most: int) -> list[Utterance]:
    """In the order of the set, so that spans of one recording follow each other."""
    if not 0 < most < len(utterances):
        return list(utterances)
    positions = random.Random(_SEED).sample(range(len(utterances)), most)
    return [utterances[position] for position in sorted(positions)]


def _with_progress(results: Iterable[AudioMeasures | str], total: int) -> list[AudioMeasures | str]:
    return list(tqdm(results, total=total, unit="utt", disable=None))


def _measure_file(utterance: Utterance) -> AudioMeasures | str:
    return PIPE_REASON if utterance.wav.endswith("|") else _measure_or_run(utterance)


def _measure_or_run(utterance: Utterance) -> AudioMeasures | str:
    try:
        return measure(*_samples(utterance))
    except AudioError as error:
        return str(error)


def _samples(utterance: Utterance) -> tuple[np.ndarray, int]:
    return read_audio(utterance.source, utterance.start, utterance.end)
