"""What the benchmarks of streams say."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wenet_lite.data.audio import read_audio, resample
from wenet_lite.data.manifest import read_manifest

SAMPLE_RATE = 16000


def spoken_utterances(data_list: Path, count: int, silence_s: float) -> list[np.ndarray]:
    """(samples,) float32 at 16 kHz of the first utterances of a list, each with silence after it."""
    found = []
    for utterance in read_manifest(data_list)[:count]:
        samples, rate = read_audio(utterance.source, utterance.start, utterance.end)
        found.append(np.pad(resample(samples, rate, SAMPLE_RATE), (0, int(silence_s * SAMPLE_RATE))))
    return found
