"""What choices cost or save in words when a model is used: int8 and other runtimes, hotwords, one long recording.

    python benchmarks/accuracy.py --model <model directory> --data <data.list> [--only precision|hotwords|recording]
        [--utterances 500] [--hotwords 40] [--hours 1]

The model directory has files for torchscript and onnx, in int8 too. Hotwords are drawn from the words of six letters or
more that the list's transcripts have once. The recording is made of the first utterances of the list, one after the
other. Streams have the model's own chunks, that of the recording four of history.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate, chain
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))

from measure import Row, machine_line, print_rows
from speech import SAMPLE_RATE, spoken_utterances

from wenet_lite.data.manifest import read_manifest
from wenet_lite.runtime.backend import BackendName
from wenet_lite.runtime.recognizer import Recognizer
from wenet_lite.scoring.bootstrap import compare
from wenet_lite.scoring.hotwords import biased_scores
from wenet_lite.scoring.wer import Scores, align
from wenet_lite.text.rules import load_rules

MOST_LOST = 0.3
"""Points of WER that int8 may cost."""
MOST_LOST_BY_LENGTH = 1.0
"""Points of WER that a recording may cost against its utterances."""
LEFT_CHUNKS = 4
INT8: tuple[BackendName, ...] = ("pytorch", "torchscript", "onnx")
FEWEST_LETTERS = 6
HOTWORD_SCORES = (0.5, 1.0, 2.0, 3.0, 4.0)


class Speech:
    """The utterances that are recognised.

    Args:
        model: whose text rules transcripts are put through.
        data_list: where they are.
        count: of them, from the first.
    """

    def __init__(self, model: Path, data_list: Path, count: int) -> None:
        rules = load_rules(model)
        self.samples = spoken_utterances(data_list, count, 0.0)
        self.words = [rules(utterance.txt).split() for utterance in read_manifest(data_list)[:count]]

    def scores(self, texts: Sequence[str]) -> Scores:
        """Texts of all utterances against their transcripts."""
        keys = list(map(str, range(len(texts))))
        return Scores(tuple(align(keys, self.words, [text.split() for text in texts])), ())


def heard_whole(recognizer: Recognizer, recordings: Sequence[np.ndarray]) -> list[str]:
    return [found.text for found in recognizer.transcribe(recordings)]


def heard_as_streams(recognizer: Recognizer, recordings: Sequence[np.ndarray], left_chunks: int = -1) -> list[str]:
    texts = []
    for samples in recordings:
        session = recognizer.stream(left_chunks=left_chunks)
        session.accept(samples)
        texts.append(session.finish().text)
    return texts


def measure_precision(args: argparse.Namespace) -> Iterator[Row]:
    """int8 of each runtime against float32 of PyTorch."""
    speech = Speech(args.model, args.data, args.utterances)
    for name, hear in (("whole", heard_whole), ("streams", heard_as_streams)):
        expected = speech.scores(hear(Recognizer(args.model), speech.samples))
        for backend in INT8:
            found = speech.scores(hear(Recognizer(args.model, backend=backend, dtype="int8"), speech.samples))
            compared, words = compare(found, expected), expected.counts.ref_words
            low, high = compared.interval.low, compared.interval.high
            yield Row(
                f"WER of int8, {backend}, {name}, against float32",
                f"{MOST_LOST:g} % absolute",
                f"{compared.difference:+.2f} ({low:.2f} to {high:.2f}; {found.counts.rate:.2f} against "
                f"{expected.counts.rate:.2f} % of {words} words)",
                compared.difference <= MOST_LOST,
            )


def measure_hotwords(args: argparse.Namespace) -> Iterator[Row]:
    """Errors on hotwords and on all other words, by the score of a hotword's units."""
    speech = Speech(args.model, args.data, args.utterances)
    said = Counter(word for words in speech.words for word in words)
    rare = sorted(word for word, times in said.items() if times == 1 and len(word) >= FEWEST_LETTERS)
    hotwords = random.Random(0).sample(rare, min(args.hotwords, len(rare)))
    recognizer = Recognizer(args.model)
    for score in (0.0, *HOTWORD_SCORES):
        told = [(word, score) for word in hotwords] if score else []
        found = recognizer.transcribe(speech.samples, hotwords=told, mode="ctc_prefix_beam_search")
        scores = speech.scores([each.text for each in found])
        parts = biased_scores(scores, [(word,) for word in hotwords])
        yield Row(
            f"{len(hotwords)} hotwords, {f'score {score:g}' if score else 'not told'}",
            "none",
            f"B-WER {parts.biased.rate:.1f}, U-WER {parts.unbiased.rate:.1f}, WER {scores.counts.rate:.2f} %",
            True,
        )


def measure_recording(args: argparse.Namespace) -> Iterator[Row]:
    """One recording against its utterances, whole (in segments) and as a stream."""
    speech = Speech(args.model, args.data, args.utterances)
    ends = accumulate(len(samples) / SAMPLE_RATE / 3600 for samples in speech.samples)
    hours = [end for end in ends if end <= args.hours]
    samples, said = speech.samples[: len(hours)], list(chain.from_iterable(speech.words[: len(hours)]))
    recognizer = Recognizer(args.model)
    for name, hear in (
        ("in segments", heard_whole),
        ("as one stream", partial(heard_as_streams, left_chunks=LEFT_CHUNKS)),
    ):
        alone, whole = (
            Scores(tuple(align(["all"], [said], [" ".join(hear(recognizer, recordings)).split()])), ()).counts.rate
            for recordings in (samples, [np.concatenate(samples)])
        )
        yield Row(
            f"WER of a recording of {hours[-1]:.2f} h, {name}, against its {len(samples)} utterances",
            f"{MOST_LOST_BY_LENGTH:g} % absolute",
            f"{whole - alone:+.2f} ({whole:.2f} against {alone:.2f} %)",
            whole - alone <= MOST_LOST_BY_LENGTH,
        )


FIGURES: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "precision": measure_precision,
    "hotwords": measure_hotwords,
    "recording": measure_recording,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="model directory")
    parser.add_argument("--data", type=Path, required=True, help="data.list of what is said")
    parser.add_argument("--only", choices=FIGURES, help="one figure instead of all")
    parser.add_argument("--utterances", type=int, default=500, help="of the list, at most (default: %(default)s)")
    parser.add_argument("--hotwords", type=int, default=40, help="words that are told (default: %(default)s)")
    parser.add_argument("--hours", type=float, default=1.0, help="of the recording, at most (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(machine_line())
    wanted = [args.only] if args.only else list(FIGURES)
    return 0 if print_rows(row for name in wanted for row in FIGURES[name](args)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
