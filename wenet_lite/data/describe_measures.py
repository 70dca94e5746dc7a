"""What can be wrong with the audio of one utterance, as numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

FRAME_S = 0.02
SILENCE_DB = 30.0
"""A frame is silent where it is so much below the loudest 200 ms of its utterance: a click does not count as speech,
and one word in a long silence does. Where the noise is closer to the speech than that, no frame is silent."""
_SPEECH_FRAMES = 10
_LOWEST_DBFS = -100.0
_NO_SIGNAL_DBFS = -70.0
_QUIET_DBFS = -50.0
_FULL_SCALE = 0.999
_CLIPPED_RUN = 3
_MOST_CLIPPED = 1e-4
_MOST_SILENCE = 0.7
_MOST_OFFSET = 0.01
_LENGTH_TOLERANCE_S = 0.1
_LENGTH_TOLERANCE = 0.02

FaultKind = Literal["no signal", "quiet", "silence", "clipped", "offset", "length"]


@dataclass(frozen=True)
class AudioMeasures:
    """Attributes:
    sample_rate: Hz.
    duration: seconds.
    level: root mean square, dBFS (a full-scale square wave has 0), the offset aside; -100 at least.
    clipped: part of the samples in runs of three or more at full scale.
    silence: part of the frames of 20 ms that are silent, see `SILENCE_DB`.
    leading, trailing: silence at the ends, seconds; both are the whole where all is silent.
    offset: mean of the samples, full scale being 1.
    """

    sample_rate: int
    duration: float
    level: float
    clipped: float
    silence: float
    leading: float
    trailing: float
    offset: float


@dataclass(frozen=True)
class Fault:
    """Attributes:
    kind: what sort of fault.
    excess: the measure divided by what is allowed, above 1: for sorting.
    reason: in words.
    """

    kind: FaultKind
    excess: float
    reason: str


def measure(samples: np.ndarray, rate: int) -> AudioMeasures:
    """Measure (samples,) float32 in [-1, 1] at `rate` Hz, at least one sample."""
    samples = samples.astype(np.float64)
    offset = float(samples.mean())
    size = max(min(round(FRAME_S * rate), len(samples)), 1)
    frames = (samples[: len(samples) // size * size] - offset).reshape(-1, size)
    powers = np.square(frames).mean(axis=1)
    window = min(_SPEECH_FRAMES, len(powers))
    sums = np.cumsum(np.concatenate([[0.0], powers]))
    speech = _decibels((sums[window:] - sums[:-window]).max() / window)
    loud = _decibels(powers) > np.maximum(speech - SILENCE_DB, _NO_SIGNAL_DBFS)
    duration = len(samples) / rate
    return AudioMeasures(
        sample_rate=rate,
        duration=duration,
        level=float(_decibels(np.square(samples - offset).mean())),
        clipped=_clipped(samples),
        silence=1 - float(loud.mean()),
        leading=float(loud.argmax()) * size / rate if loud.any() else duration,
        trailing=float(loud[::-1].argmax()) * size / rate if loud.any() else duration,
        offset=offset,
    )


def faults(measures: AudioMeasures, listed_duration: float) -> Iterator[Fault]:
    """What is wrong with an utterance that its list says to be `listed_duration` seconds long."""
    if measures.level < _NO_SIGNAL_DBFS:
        yield Fault("no signal", math.inf, f"holds no signal: {measures.level:.0f} dBFS")
    elif measures.level < _QUIET_DBFS:
        yield Fault("quiet", measures.level / _QUIET_DBFS, f"is very quiet: {measures.level:.0f} dBFS")
    elif measures.silence > _MOST_SILENCE:
        reason = f"is silent for {100 * measures.silence:.0f} % of its {measures.duration:.1f} s"
        yield Fault("silence", measures.silence / _MOST_SILENCE, reason)
    if measures.clipped > _MOST_CLIPPED:
        share = f"{100 * measures.clipped:.2f} % of its samples"
        yield Fault("clipped", measures.clipped / _MOST_CLIPPED, f"is clipped: {share}")
    if abs(measures.offset) > _MOST_OFFSET:
        reason = f"has a DC offset of {100 * measures.offset:+.1f} % of full scale"
        yield Fault("offset", abs(measures.offset) / _MOST_OFFSET, reason)
    difference = abs(measures.duration - listed_duration)
    allowed = max(_LENGTH_TOLERANCE_S, _LENGTH_TOLERANCE * listed_duration)
    if difference > allowed:
        reason = f"holds {measures.duration:.2f} s, where {listed_duration:.2f} s are listed"
        yield Fault("length", difference / allowed, reason)


def _decibels(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, 10 ** (_LOWEST_DBFS / 10)))


def _clipped(samples: np.ndarray) -> float:
    """Part of the samples that lie in a run of at least three at full scale, of one sign."""
    clipped = 0
    for full in (samples >= _FULL_SCALE, samples <= -_FULL_SCALE):
        if np.count_nonzero(full) >= _CLIPPED_RUN:
            edges = np.flatnonzero(np.diff(np.concatenate([[False], full, [False]]).astype(np.int8)))
            runs = edges[1::2] - edges[::2]
            clipped += int(runs[runs >= _CLIPPED_RUN].sum())
    return clipped / len(samples)
