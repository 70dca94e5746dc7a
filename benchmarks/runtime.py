"""Speed and load of the runtime: streams of a large model, and how many at once.

    python benchmarks/runtime.py [--wenet <WeNet checkout>] [--model <model directory>] [--only streaming] [--repeats 5]

Candidates take turns in one process, on one thread; figures are medians over the turns and ratios of medians. Loads
are played by a clock of their own: audio arrives when it would be spoken, and the clock goes on by the time that the
work has really taken, so that a machine with other work shows longer waits, but never fewer streams than it could hear.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))

from candidates import CHUNK_SIZE, HISTORY, VOCAB_SIZE, experiment, stream_as_wenet, wenet_model, windows
from measure import Row, alternate, machine_line, print_rows
from runtime_load import load_figures
from wenet_checkout import open_checkout

from wenet_lite.experiment import build_model
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.runtime.cpu import prepare_for_cpu
from wenet_lite.runtime.export.torchscript_model import TorchScriptModel
from wenet_lite.runtime.int8 import quantize

FRAME_S = 0.04
START_LIMIT_S = 3.0
"""Seconds from the start of a process to a stream's first partial text."""


def recognise(advance: Callable[..., Any], empty: Callable[..., Any], ctc: nn.Module, pieces: list[Tensor]) -> None:
    """A stream through an encoder and CTC of ours."""
    cache = empty(1, HISTORY, pieces[0])
    for piece in pieces:
        out, _, cache = advance(piece, torch.tensor([piece.shape[1]]), cache, HISTORY)
        ctc(out)


def recognise_as_wenet(model: Any, pieces: list[Tensor]) -> None:
    """A stream through a scripted model with WeNet's methods."""

    def chunk(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        out, attention, convolution = model.forward_encoder_chunk(*arguments)
        model.ctc_activation(out)
        return out, attention, convolution

    stream_as_wenet(chunk, pieces)


def reloaded(model: nn.Module) -> Any:
    """A model as TorchScript, from a file."""
    with tempfile.TemporaryDirectory() as folder:
        torch.jit.script(model).save(f"{folder}/model.zip")
        return torch.jit.load(f"{folder}/model.zip")


def twelve_layers() -> AsrModel:
    return build_model(experiment("u2pp_conformer.yaml"), VOCAB_SIZE).eval()


@torch.inference_mode()
def measure_streaming(args: argparse.Namespace) -> Iterator[Row]:
    """Encoder and CTC of U2++ over 20 s of stream, on one thread."""
    torch.set_num_threads(1)
    eager, prepared, int8 = twelve_layers(), twelve_layers(), twelve_layers()
    prepare_for_cpu(prepared)
    prepare_for_cpu(int8, int8=True)
    exported = twelve_layers()
    quantize(exported)
    scripted = reloaded(TorchScriptModel(exported))
    pieces = windows(torch.randn(1, 2007, 80, generator=torch.Generator().manual_seed(0)), eager)
    ours = {
        "float32, eager": eager,
        "float32, as the recogniser runs it": prepared,
        "int8, as the recogniser runs it": int8,
    }
    candidates: dict[str, Callable[[], object]] = {
        name: functools.partial(recognise, model.encoder.forward_chunk, model.encoder.empty_cache, model.ctc, pieces)
        for name, model in ours.items()
    }
    candidates["int8, exported TorchScript"] = functools.partial(
        recognise, scripted.encoder.advance, eager.encoder.empty_cache, scripted.ctc, pieces
    )
    if args.wenet:
        theirs = wenet_model(experiment("u2pp_conformer.yaml")).eval()
        theirs_int8 = torch.ao.quantization.quantize_dynamic(theirs, {nn.Linear}, dtype=torch.qint8)
        candidates["WeNet's int8"] = functools.partial(recognise_as_wenet, reloaded(theirs_int8), pieces)
    times = alternate(candidates, args.repeats)
    seconds = len(pieces) * CHUNK_SIZE * FRAME_S
    of_eager = times["float32, eager"]
    for name in list(candidates)[1:]:
        is_goal, ratio = name.startswith("int8"), times[name] / of_eager
        seen = f"{ratio:.2f}x (real-time factor {times[name] / seconds:.4f} against {of_eager / seconds:.4f})"
        yield Row(
            f"{name}, against our eager float32", "0.50x" if is_goal else "none", seen, ratio <= 0.5 or not is_goal
        )
        if args.wenet and is_goal:
            ratio = times[name] / times["WeNet's int8"]
            yield Row(f"{name}, against WeNet's int8", "1x", f"{ratio:.2f}x", ratio < 1)


def measure_start(args: argparse.Namespace) -> Iterator[Row]:
    """A process that loads the model and streams its first chunks, from its start to the first partial text."""
    code = f"""
import numpy as np
from wenet_lite.runtime.recognizer import Recognizer
session = Recognizer({os.fspath(args.model)!r}).stream()
session.accept(np.zeros(16000, np.float32))
print("partial:", session.partial, flush=True)
"""
    environment = {**os.environ, "PYTHONPATH": os.fspath(Path(__file__).resolve().parents[1])}
    seconds = []
    for _ in range(args.repeats):
        began = time.perf_counter()
        with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as run:
            if run.stdout is None or not run.stdout.readline().startswith("partial:"):
                raise RuntimeError("The process has given no partial text.")
            seconds.append(time.perf_counter() - began)
    median = statistics.median(seconds)
    yield Row(
        "from the start of Python to the first partial",
        f"{START_LIMIT_S:g} s",
        f"{median:.2f} s",
        median <= START_LIMIT_S,
    )


FIGURES: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "streaming": measure_streaming,
    "start": measure_start,
    "load": load_figures,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wenet", type=Path, help="WeNet checkout to measure against")
    parser.add_argument("--model", type=Path, help="model directory, for start and load")
    parser.add_argument("--dtype", choices=["float32", "int8"], default="float32", help="of a load (%(default)s)")
    parser.add_argument("--only", choices=FIGURES, help="one figure instead of all")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each candidate (default: %(default)s)")
    args = parser.parse_args()
    wanted = [args.only] if args.only else list(FIGURES)
    if args.model is None and wanted != ["streaming"]:
        parser.error("start and load need --model")
    print(machine_line())
    if args.wenet:
        open_checkout(args.wenet)
    return 0 if print_rows(row for name in wanted for row in FIGURES[name](args)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
