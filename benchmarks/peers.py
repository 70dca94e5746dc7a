"""Speed against peers that are installed from wheels: sherpa-onnx on live streams, torchaudio on forced alignment.

    python benchmarks/peers.py [--model <model directory> --data <data.list>] [--only streams|alignment] [--repeats 5]

The model directory has sherpa-onnx's files (`export --format onnx sherpa --quantize`). All candidates hear the same
utterances, in portions of a tenth of a second, on one thread. sherpa-onnx searches greedily; ours keeps ten prefixes,
among which its attention decoder chooses. Candidates take turns in one process; ratios are of medians.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))

from measure import Row, alternate, machine_line, print_rows
from speech import SAMPLE_RATE, spoken_utterances

from wenet_lite.decoding.alignment import CtcAligner
from wenet_lite.runtime.recognizer import Recognizer

PORTION = SAMPLE_RATE // 10
CHUNK_SIZE, LEFT_CHUNKS = 16, 4
TAIL_S = 1.0
"""Silence after each utterance: sherpa-onnx drops a last chunk that is not full."""
UTTERANCES, FRAMES, VOCAB_SIZE, TOKENS = 32, 375, 5002, 60
"""Of the alignments: batches of posteriors over 15 s."""


def heard_by_us(recognizer: Recognizer, utterances: list[np.ndarray]) -> None:
    for samples in utterances:
        session = recognizer.stream(left_chunks=LEFT_CHUNKS)
        for first in range(0, len(samples), PORTION):
            session.accept(samples[first : first + PORTION])
        session.finish()


def heard_by_sherpa(recognizer: Any, utterances: list[np.ndarray]) -> None:
    for samples in utterances:
        stream = recognizer.create_stream()
        for first in range(0, len(samples), PORTION):
            stream.accept_waveform(SAMPLE_RATE, samples[first : first + PORTION])
            while recognizer.is_ready(stream):
                recognizer.decode_stream(stream)
        stream.input_finished()
        while recognizer.is_ready(stream):
            recognizer.decode_stream(stream)
        recognizer.get_result(stream)


def sherpa_recognizer(folder: Path, file: str) -> Any:
    import sherpa_onnx

    return sherpa_onnx.OnlineRecognizer.from_wenet_ctc(
        tokens=os.fspath(folder / "sherpa/tokens.txt"),
        model=os.fspath(folder / "sherpa" / file),
        chunk_size=CHUNK_SIZE,
        num_left_chunks=LEFT_CHUNKS,
        num_threads=1,
    )


def measure_streams(args: argparse.Namespace) -> Iterator[Row]:
    """Whole streams, from audio to text."""
    utterances = spoken_utterances(args.data, args.utterances, TAIL_S)
    seconds = sum(map(len, utterances)) / SAMPLE_RATE
    for dtype, file in (("float32", "model.onnx"), ("int8", "model.int8.onnx")):
        candidates: dict[str, Callable[[], object]] = {
            "sherpa-onnx": functools.partial(heard_by_sherpa, sherpa_recognizer(args.model, file), utterances)
        }
        for backend in ("pytorch", "torchscript", "onnx"):
            recognizer = Recognizer(args.model, backend=backend, dtype=dtype)
            candidates[backend] = functools.partial(heard_by_us, recognizer, utterances)
        times = alternate(candidates, args.repeats)
        theirs = times.pop("sherpa-onnx")
        for backend, ours in times.items():
            ratio = ours / theirs
            factors = f"real-time factor {ours / seconds:.4f} against {theirs / seconds:.4f}"
            goal = "1x" if backend == "pytorch" else "none"
            yield Row(
                f"live streams, {backend}, {dtype}, against sherpa-onnx",
                goal,
                f"{ratio:.2f}x ({factors})",
                ratio <= 1 or goal == "none",
            )


def measure_alignment(args: argparse.Namespace) -> Iterator[Row]:
    """Known tokens along posteriors of as many utterances as a batch of `align` has."""
    from torchaudio.functional import forced_align

    generator = torch.Generator().manual_seed(0)
    log_probs = torch.randn(UTTERANCES, FRAMES, VOCAB_SIZE, generator=generator).log_softmax(2)
    tokens = torch.randint(1, VOCAB_SIZE, (UTTERANCES, TOKENS), generator=generator)
    lens, aligner = torch.full((UTTERANCES,), FRAMES), CtcAligner(blank_id=0)
    ids = tokens.tolist()
    times = alternate(
        {
            "ours": lambda: aligner(log_probs, lens, ids),
            "torchaudio": lambda: [forced_align(log_probs[i : i + 1], tokens[i : i + 1]) for i in range(UTTERANCES)],
        },
        args.repeats,
    )
    ratio = times["ours"] / times["torchaudio"]
    seen = f"{ratio:.2f}x ({1e3 * times['ours']:.0f} against {1e3 * times['torchaudio']:.0f} ms)"
    yield Row(f"alignment of {UTTERANCES} utterances of 15 s against torchaudio's", "1x", seen, ratio <= 1)


FIGURES: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "streams": measure_streams,
    "alignment": measure_alignment,
}
PEERS = {"streams": "sherpa-onnx", "alignment": "torchaudio"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="model directory, for streams")
    parser.add_argument("--data", type=Path, help="data.list of what streams say")
    parser.add_argument("--utterances", type=int, default=20, help="of the list (default: %(default)s)")
    parser.add_argument("--only", choices=FIGURES, help="one figure instead of all")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each candidate (default: %(default)s)")
    args = parser.parse_args()
    wanted = [args.only] if args.only else list(FIGURES)
    if "streams" in wanted and not (args.model and args.data):
        parser.error("streams need --model and --data")
    torch.set_num_threads(1)
    print(machine_line(*(PEERS[name] for name in wanted)))
    return 0 if print_rows(row for name in wanted for row in FIGURES[name](args)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
