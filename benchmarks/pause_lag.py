"""How far CTC's peaks lie behind the sound where there is no reference: around the pauses of real speech."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from wenet_lite.data.audio import read_audio, resample
from wenet_lite.data.manifest import read_manifest
from wenet_lite.decoding.transcript_alignment import TranscriptAligner
from wenet_lite.decoding.words import WordTiming
from wenet_lite.experiment import read_experiment
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.runtime.model_dir import ModelDescription, load_model

LOUD_DB = 28.0
"""A block of 10 ms is speech if it is at most this much below the loud ones."""
SHORTEST_PAUSE = 25
_BLOCK = SAMPLE_RATE // 100


def pauses(samples: np.ndarray) -> list[tuple[float, float]]:
    """Begin and end, in seconds, of each silence of at least 250 ms inside speech."""
    blocks = samples[: len(samples) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    level = 10 * np.log10((blocks**2).mean(axis=1) + 1e-9)
    level = np.convolve(level, np.ones(3) / 3, "same")
    loud = np.flatnonzero(level > np.percentile(level, 95) - LOUD_DB)
    quiet = np.flatnonzero(np.diff(loud) > SHORTEST_PAUSE)
    return [((loud[i] + 1) / 100, loud[i + 1] / 100) for i in quiet.tolist()]


def main() -> None:
    """Print percentiles of the distance from each edge of a pause to the nearest edge of a word."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp-dir", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", required=True, help="data.list")
    args = parser.parse_args()
    config = read_experiment(args.exp_dir / "train.yaml")
    loaded = load_model(ModelDescription(config.features, config.model), args.checkpoint, args.exp_dir)
    peaks = WordTiming(lag_ms=0, max_tail_frames=0)
    aligner = TranscriptAligner(loaded.model, loaded.fbank, loaded.tokenizer, torch.device("cpu"), timing=peaks)
    manifest = read_manifest(args.data)
    words = {utterance.key: utterance.words for utterance in aligner(manifest).utterances}
    starts, ends = [], []
    for utterance in manifest:
        samples, rate = read_audio(utterance.source, utterance.start, utterance.end)
        for begin, end in pauses(resample(samples, rate, SAMPLE_RATE)):
            starts.append(min((word.start_s - end for word in words[utterance.key]), key=abs))
            ends.append(min((word.end_s - begin for word in words[utterance.key]), key=abs))
    print(f"{len(starts)} pauses; percentiles 5, 25, 50, 75, 95 in ms")
    for name, distances in (("start of a word behind a pause's end", starts), ("end behind a pause's begin", ends)):
        print(name, *np.percentile(1000 * np.array(distances), [5, 25, 50, 75, 95]).round().astype(int))


if __name__ == "__main__":
    main()
