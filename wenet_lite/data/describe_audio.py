"""What the audio of a data set is like: levels, clipping, silence, offset; in several processes."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wenet_lite.data.audio import read_audio
from wenet_lite.data.describe_distribution import Distribution, distributions
from wenet_lite.data.describe_read import Problem
from wenet_lite.data.manifest import Utterance
from wenet_lite.errors import AudioError

_SEED = 0
_FRAME_S = 0.02
_CLIPPED_RUN = 3
_FULL_SCALE = 0.999
_SILENCE_DB = 30.0
"""A frame is silent where it is so much below the utterance's speech level, its 95th percentile."""
_NO_SIGNAL_DBFS = -70.0
_MOST_SILENCE = 0.7
_MOST_OFFSET = 0.02
_CHUNK = 16


@dataclass(frozen=True)
class AudioMeasures:
    """Attributes:
    level: dBFS of the whole utterance; -inf where all samples are 0.
    clipped: part of the samples in runs of three or more at full scale.
    silence: part of the frames of 20 ms that are silent.
    leading, trailing: silence at the ends, in seconds.
    offset: mean of the samples, full scale being 1.
    """

    level: float
    clipped: float
    silence: float
    leading: float
    trailing: float
    offset: float

    @property
    def faults(self) -> list[str]:
        """What is wrong with it, in words."""
        found = []
        if self.level < _NO_SIGNAL_DBFS:
            found.append(f"holds no signal: {self.level:.0f} dBFS")
        elif self.silence > _MOST_SILENCE:
            found.append(f"is silent for {100 * self.silence:.0f} % of its time")
        if self.clipped:
            found.append(f"is clipped: {100 * self.clipped:.2f} % of its samples")
        if abs(self.offset) > _MOST_OFFSET:
            found.append(f"has an offset of {self.offset:+.3f}")
        return found


@dataclass(frozen=True)
class AudioDescription:
    """Attributes:
    num_measured: utterances that were read, drawn from all of them.
    num_clipped: those with clipped samples.
    level, silence, leading, trailing: how the measures of `AudioMeasures` spread; None where nothing was read.
    faulty: utterances with a fault, the worst first.
    num_faulty: how many there are.
    unreadable: utterances that cannot be read.
    """

    num_measured: int
    num_clipped: int
    level: Distribution | None
    silence: Distribution | None
    leading: Distribution | None
    trailing: Distribution | None
    faulty: tuple[Problem, ...]
    num_faulty: int
    unreadable: tuple[Problem, ...]


def describe_audio(
    utterances: Sequence[Utterance], *, jobs: int, max_audio: int, number: int, allow_pipes: bool = False
) -> AudioDescription:
    """Read utterances and measure them.

    Args:
        utterances: of one set.
        jobs: processes; they change nothing but the time.
        max_audio: utterances read at most, drawn by a fixed seed; 0 for all.
        number: faulty ones that are listed.
        allow_pipes: whether commands may be run; where not, they are listed as unreadable.
    """
    drawn = list(utterances)
    if 0 < max_audio < len(drawn):
        positions = sorted(random.Random(_SEED).sample(range(len(drawn)), max_audio))
        drawn = [drawn[i] for i in positions]
    allowed = [utterance for utterance in drawn if allow_pipes or not utterance.wav.endswith("|")]
    unreadable = [
        Problem(utterance.key, "is a command, which is not run unasked (--allow-pipes runs it)")
        for utterance in drawn
        if utterance.wav.endswith("|") and not allow_pipes
    ]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        found = pool.map(_measure_or_reason, allowed, chunksize=_CHUNK)
    measured: dict[str, AudioMeasures] = {}
    for utterance, result in zip(allowed, found):
        if isinstance(result, str):
            unreadable.append(Problem(utterance.key, result))
        else:
            measured[utterance.key] = result
    faulty = [(key, measures) for key, measures in measured.items() if measures.faults]
    faulty.sort(key=lambda item: (-len(item[1].faults), -item[1].clipped, -item[1].silence, item[0]))
    return AudioDescription(
        num_measured=len(measured),
        num_clipped=sum(measures.clipped > 0 for measures in measured.values()),
        level=_spread([m.level for m in measured.values() if np.isfinite(m.level)]),
        silence=_spread([m.silence for m in measured.values()]),
        leading=_spread([m.leading for m in measured.values()]),
        trailing=_spread([m.trailing for m in measured.values()]),
        faulty=tuple(Problem(key, "; ".join(measures.faults)) for key, measures in faulty[:number]),
        num_faulty=len(faulty),
        unreadable=tuple(unreadable),
    )


def measure(samples: np.ndarray, rate: int) -> AudioMeasures:
    """Measure (samples,) float32 in [-1, 1] at `rate` Hz."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    level = 10 * np.log10(power) if power > 0 else -np.inf
    size = max(min(round(_FRAME_S * rate), len(samples)), 1)
    frames = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    energies = 10 * np.log10(np.square(frames - samples.mean()).mean(axis=1) + 1e-12)
    loud = energies > max(float(np.percentile(energies, 95)) - _SILENCE_DB, _NO_SIGNAL_DBFS)
    first, last = (int(loud.argmax()), int(loud[::-1].argmax())) if loud.any() else (len(loud), len(loud))
    return AudioMeasures(
        level=float(level),
        clipped=_clipped(samples),
        silence=1 - float(loud.mean()),
        leading=first * size / rate,
        trailing=last * size / rate,
        offset=float(samples.mean()),
    )


def _clipped(samples: np.ndarray) -> float:
    """Part of the samples that lie in a run of at least three at full scale."""
    full = np.abs(samples) >= _FULL_SCALE
    if full.sum() < _CLIPPED_RUN:
        return 0.0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], full, [False]]).astype(np.int8)))
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= _CLIPPED_RUN].sum() / len(samples))


def _measure_or_reason(utterance: Utterance) -> AudioMeasures | str:
    try:
        return measure(*_samples(utterance))
    except AudioError as error:
        return str(error)


def _samples(utterance: Utterance) -> tuple[np.ndarray, int]:
    return read_audio(utterance.source, utterance.start, utterance.end)


def _spread(values: Sequence[float]) -> Distribution | None:
    return distributions([np.array(values)])[0]
