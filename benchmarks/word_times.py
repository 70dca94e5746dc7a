"""How exact word times are: forced alignments of the smoke corpus against eSpeak NG's own word marks."""

from __future__ import annotations

import argparse
import copy
import ctypes
import multiprocessing
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "egs/librispeech/local"))
import synthesize_smoke
from espeak import Espeak, Prosody

from wenet_lite.data.manifest import read_manifest
from wenet_lite.decoding.transcript_alignment import TranscriptAligner
from wenet_lite.decoding.words import WordTiming
from wenet_lite.experiment import read_experiment
from wenet_lite.runtime.model_dir import ModelDescription, load_model

SEED = 777
_END, _WORD = 0, 1


class _Event(ctypes.Structure):
    """eSpeak NG's espeak_EVENT."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


@dataclass(frozen=True)
class Spoken:
    """Attributes:
    words: as they are marked; the synthesiser takes some pairs of short words as one.
    edges: seconds where each begins, and where the last one ends.
    """

    words: list[str]
    edges: list[float]


class MarkedTakes(Espeak):
    """The synthesiser, with the sample at which each word of the last sentence begins."""

    def speak(self, text: str, voice: str, prosody: Prosody) -> np.ndarray:
        """Synthesise, and note the marks."""
        self.marks: list[tuple[str, int]] = []
        self._text = text
        self.spoken = super().speak(text, voice, prosody)
        return self.spoken

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        event = ctypes.cast(events, ctypes.POINTER(_Event))
        index = 0
        while event[index].type != _END:
            mark = event[index]
            if mark.type == _WORD:
                begin = mark.text_position - 1
                self.marks.append((self._text[begin : begin + mark.length].upper(), mark.sample))
            index += 1
        return super()._collect(samples, count, events)


def true_times(speaker: synthesize_smoke.Speaker) -> dict[str, Spoken]:
    """Read aloud what the corpus has of a speaker, by the corpus's own draws, for the times of the words."""
    takes: list[Spoken] = []
    espeak = MarkedTakes()
    record = synthesize_smoke._record

    def timed_record(spoken: np.ndarray, rate: int, noise: np.random.Generator) -> np.ndarray:
        draws = copy.deepcopy(noise)
        draws.uniform(0.25, 0.7)
        before = int(draws.uniform(0.1, 0.3) * synthesize_smoke.SAMPLE_RATE) / synthesize_smoke.SAMPLE_RATE
        loud = np.flatnonzero(np.abs(spoken) > 100)
        samples = [sample for _, sample in espeak.marks] + [int(loud[-1])]
        takes.append(Spoken([word for word, _ in espeak.marks], [before + (s - loud[0]) / rate for s in samples]))
        return record(spoken, rate, noise)

    synthesize_smoke.Espeak = lambda: espeak
    synthesize_smoke._record = timed_record
    synthesize_smoke._flac = lambda samples: b""
    with tempfile.TemporaryDirectory() as folder:
        synthesize_smoke.read_aloud(speaker, Path(folder))
    size = synthesize_smoke.UTTERANCES_PER_CHAPTER
    return {f"{speaker.number}-{1 + i // size}-{i % size:04d}": take for i, take in enumerate(takes)}


def errors_line(name: str, errors: list[float]) -> str:
    """Median, mean size and how many are within 100 ms."""
    milliseconds = 1000 * np.array(errors)
    near = 100 * np.mean(np.abs(milliseconds) <= 100)
    mean = np.abs(milliseconds).mean()
    return f"| {name} | {np.median(milliseconds):+.0f} | {mean:.0f} | {near:.0f} | {len(errors)} |"


def main() -> None:
    """Print a table for each lag and tail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp-dir", type=Path, required=True, help="run on the smoke corpus")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", required=True, help="data.list of smoke_dev or smoke_test")
    args = parser.parse_args()
    manifest = read_manifest(args.data)
    numbers = {key.split("-")[0] for key in (utterance.key for utterance in manifest)}
    cast = [
        speaker for speaker in synthesize_smoke.cast(synthesize_smoke.HOURS, SEED) if str(speaker.number) in numbers
    ]
    truth: dict[str, Spoken] = {}
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:  # the library has one global state
        for spoken in pool.imap(true_times, cast, chunksize=1):
            truth.update(spoken)
    config = read_experiment(args.exp_dir / "train.yaml")
    loaded = load_model(ModelDescription(config.features, config.model), args.checkpoint, args.exp_dir)
    print("| lag, tail: edge | median ms | mean size ms | within 100 ms, % | words |\n|---|---|---|---|---|")
    for timing in (WordTiming(0, 0), WordTiming(), WordTiming(140, 2)):
        aligner = TranscriptAligner(loaded.model, loaded.fbank, loaded.tokenizer, torch.device("cpu"), timing=timing)
        edges: dict[str, list[float]] = {"first start": [], "start": [], "end": [], "last end": []}
        for utterance in aligner(manifest).utterances:
            spoken, words = truth[utterance.key], utterance.words
            if spoken.words != [word.text for word in words]:
                continue
            starts = [word.start_s - edge for word, edge in zip(words, spoken.edges)]
            ends = [word.end_s - edge for word, edge in zip(words, spoken.edges[1:])]
            edges["first start"].append(starts[0])
            edges["start"] += starts[1:]
            edges["end"] += ends[:-1]
            edges["last end"].append(ends[-1])
        for name, errors in edges.items():
            print(errors_line(f"{timing.lag_ms} ms, {timing.max_tail_frames}: {name}", errors))


if __name__ == "__main__":
    main()
