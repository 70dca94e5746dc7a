"""Speed and memory of the model in training and in streaming, against WeNet's and against itself.

    python benchmarks/model.py [--wenet <WeNet checkout>] [--only training] [--repeats 5]

Candidates take turns in one process; figures are medians over the turns, and ratios of medians. Peak memory is the
resident memory of a fresh process each, above what it held once everything was imported, and with every larger tensor
mapped by itself, so that it does not count holes in the heap. Both sides have the losses and the Adam of their own
trainers. Processes that contend for the cores make threads wait for each other; GOMP_SPINCOUNT=0 lessens that.
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))

from candidates import CHUNK_SIZE, HISTORY, VOCAB_SIZE, experiment, stream, stream_as_wenet, wenet_model, windows
from measure import Row, alternate, apart, machine_line, print_rows, resident
from wenet_checkout import open_checkout

from wenet_lite.experiment import ExperimentConfig, build_model
from wenet_lite.model.asr_model import count_parameters
from wenet_lite.model.cache import EncoderCache
from wenet_lite.model.feed_forward import PositionwiseFeedForward
from wenet_lite.model.mixture import MixtureConfig, MixtureOfExperts
from wenet_lite.runtime.cpu import prepare_for_cpu
from wenet_lite.runtime.export.torchscript_model import TorchScriptModel
from wenet_lite.training.cpu import train_through_onednn
from wenet_lite.training.optimizer import build_optimizer

BATCH_SIZE, FRAMES, TOKENS = 8, 1000, 40
FULL_CONTEXT = -1
HOUR = 5625
"""Chunks of 640 ms."""


def training_batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, their lengths, tokens, their numbers; no padding, for the two sides to have the same work."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(BATCH_SIZE, FRAMES, 80, generator=generator),
        torch.full((BATCH_SIZE,), FRAMES),
        torch.randint(3, VOCAB_SIZE, (BATCH_SIZE, TOKENS), generator=generator),
        torch.full((BATCH_SIZE,), TOKENS),
    )


def update(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> None:
    """A training step: forward, loss, backward, clip, move the weights."""
    loss().backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    optimizer.zero_grad()


def our_step(config: ExperimentConfig, chunk_size: int) -> Callable[[], None]:
    model = build_model(config, VOCAB_SIZE).train()
    train_through_onednn(model)
    batch = training_batch()
    optimizer = build_optimizer(model, config.training.optimizer)

    def loss() -> Tensor:
        return model(*batch, chunk_size).total.sum() / BATCH_SIZE

    return functools.partial(update, model, optimizer, loss)


def wenet_step(config: ExperimentConfig, chunk_size: int) -> Callable[[], None]:
    model: Any = wenet_model(config).train()
    features, lens, tokens, token_lens = training_batch()
    batch = {
        "feats": features,
        "feats_lengths": lens,
        "target": tokens,
        "target_lengths": token_lens,
        "langs": [],
        "tasks": [],
    }
    # Left alone it draws a chunk.
    model.encoder.forward = functools.partial(model.encoder.forward, decoding_chunk_size=chunk_size)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.training.optimizer.lr)

    def loss() -> Tensor:
        return model(batch, torch.device("cpu"))["loss"]

    return functools.partial(update, model, optimizer, loss)


def peak_of_training(side: str, wenet: Path, config: ExperimentConfig, chunk_size: int) -> float:
    """In a process of its own: what two steps take at the most, MB; Adam's moments are there from the second on."""
    open_checkout(wenet)
    torch.set_num_threads(2)
    wenet_model(config)  # for both sides to have imported the same
    before = resident("VmRSS")
    step = (our_step if side == "ours" else wenet_step)(config, chunk_size)
    step()
    step()
    return resident("VmHWM") - before


def measure_training(wenet: Path | None, repeats: int) -> Iterator[Row]:
    """A training step of U2++ against WeNet's, with full context and with chunks."""
    if wenet is None:
        return
    torch.set_num_threads(2)
    config = experiment("u2pp_conformer.yaml")
    for chunk_size, name in ((FULL_CONTEXT, "full context"), (CHUNK_SIZE, f"chunk {CHUNK_SIZE}")):
        steps = {"ours": our_step(config, chunk_size), "WeNet": wenet_step(config, chunk_size)}
        times = alternate(steps, repeats)
        del steps
        ratio = times["ours"] / times["WeNet"]
        seen = f"{ratio:.2f}x ({times['ours']:.2f} against {times['WeNet']:.2f} s)"
        yield Row(f"training step against WeNet's, {name}", "0.85x", seen, ratio <= 0.85)
        ours, theirs = (apart(peak_of_training, side, wenet, config, chunk_size) for side in ("ours", "WeNet"))
        seen = f"{ours / theirs:.2f}x ({ours:.0f} against {theirs:.0f} MB)"
        yield Row(f"its peak memory, {name}", "1x", seen, ours <= theirs)


@torch.inference_mode()
def measure_streaming(wenet: Path | None, repeats: int) -> Iterator[Row]:
    """The encoder of U2++ over a minute of stream, on one thread, against WeNet's."""
    torch.set_num_threads(1)
    config = experiment("u2pp_conformer.yaml")
    model = build_model(config, VOCAB_SIZE).eval()
    pieces = windows(torch.randn(1, 6007, 80, generator=torch.Generator().manual_seed(0)), model)
    prepared = build_model(config, VOCAB_SIZE).eval()
    prepare_for_cpu(prepared)
    scripted = torch.jit.script(TorchScriptModel(model).eval())
    scripted = torch.jit.freeze(scripted, preserved_attrs=["forward_encoder_chunk"])
    candidates: dict[str, Callable[[], object]] = {
        "as the recogniser runs it": functools.partial(stream, prepared, pieces),
        "as in training": functools.partial(stream, model, pieces),
        "exported": functools.partial(stream_as_wenet, scripted.forward_encoder_chunk, pieces),
    }
    if wenet is not None:
        theirs: Any = wenet_model(config).eval()
        candidates["WeNet"] = functools.partial(stream_as_wenet, theirs.encoder.forward_chunk, pieces)
    times = alternate(candidates, repeats)
    seconds = len(pieces) * CHUNK_SIZE * 0.04
    for name, target in (("as the recogniser runs it", 0.6), ("as in training", math.inf), ("exported", math.inf)):
        seen, good = f"real-time factor {times[name] / seconds:.4f}", True
        if "WeNet" in times:
            ratio = times[name] / times["WeNet"]
            seen, good = f"{ratio:.2f}x ({seen} against {times['WeNet'] / seconds:.4f})", ratio <= target
        yield Row(
            f"streaming encoder, {name}, against WeNet's eager",
            f"{target:.2f}x" if target < math.inf else "none",
            seen,
            good,
        )


@torch.no_grad()
def measure_hour(wenet: Path | None, repeats: int) -> Iterator[Row]:
    """Chunks of a stream's last tenth of an hour, in turn with those of another stream's first."""
    torch.set_num_threads(1)
    model = build_model(experiment("smoke.yaml"), VOCAB_SIZE).eval()
    piece = windows(torch.randn(1, 100, 80, generator=torch.Generator().manual_seed(0)), model)[0]
    lens = torch.tensor([piece.shape[1]])

    def after(cache: EncoderCache) -> EncoderCache:
        return model.encoder.forward_chunk(piece, lens, cache, HISTORY)[2]

    old, young = (model.encoder.empty_cache(1, HISTORY, piece) for _ in range(2))
    for _ in range(HOUR - HOUR // 10):
        old = after(old)
    seconds: dict[str, list[float]] = {"old": [], "young": []}
    for _ in range(HOUR // 10):
        started = time.perf_counter()
        old = after(old)
        between = time.perf_counter()
        young = after(young)
        seconds["old"].append(between - started)
        seconds["young"].append(time.perf_counter() - between)
    last, first = statistics.median(seconds["old"]), statistics.median(seconds["young"])
    seen = f"{last / first:.2f}x ({1e3 * last:.2f} against {1e3 * first:.2f} ms)"
    sizes = [sum(t.numel() * t.element_size() for t in cache) for cache in (old, young)]
    yield Row("chunk at the end of an hour against its start", "1.1x", seen, last <= 1.1 * first)
    yield Row("its cache", "the same", f"{sizes[0]} against {sizes[1]} bytes", sizes[0] == sizes[1])


def measure_multi_level(wenet: Path | None, repeats: int) -> Iterator[Row]:
    """A training step with heads on intermediate layers against one without."""
    torch.set_num_threads(2)
    config = experiment("u2pp_conformer_3m.yaml")
    with_heads = replace(config, model=replace(config.model, cr_ctc_weight=0.0))
    without = replace(config, model=replace(with_heads.model, multi_level=None))
    steps = {"with": our_step(with_heads, FULL_CONTEXT), "without": our_step(without, FULL_CONTEXT)}
    times = alternate(steps, repeats)
    ratio = times["with"] / times["without"]
    seen = f"{ratio:.2f}x ({times['with']:.2f} against {times['without']:.2f} s)"
    yield Row("training step with heads on layers 4 and 8 against one without", "1.25x", seen, ratio <= 1.25)


def measure_mixture(wenet: Path | None, repeats: int) -> list[Row]:
    """A layer of eight experts, one a frame, against the dense layer, on a batch of 8 x 1000 encoder frames."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    moe = MixtureConfig(num_experts=8, top_k=1, dropout_rate=0.1)
    dense, experts = PositionwiseFeedForward(256, 2048, 0.1, nn.SiLU()), MixtureOfExperts(moe, 256, 2048, nn.SiLU())
    train_through_onednn(nn.ModuleList([dense, experts]))
    x, embedding = torch.randn(2, BATCH_SIZE, FRAMES, 256).unbind(0)
    x.requires_grad_(True)
    rows = []
    for training in (True, False):

        def run(layer: Callable[[], Tensor], training: bool = training) -> None:
            out = layer()
            if training:
                out.sum().backward()

        dense.train(training)
        experts.train(training)
        candidates: dict[str, Callable[[], object]] = {
            "dense": functools.partial(run, lambda: dense(x)),
            "experts": functools.partial(run, lambda: experts(x, embedding)[0]),
        }
        with torch.set_grad_enabled(training):
            times = alternate(candidates, repeats)
        ratio = times["experts"] / times["dense"]
        seen = f"{ratio:.2f}x ({1e3 * times['experts']:.0f} against {1e3 * times['dense']:.0f} ms)"
        name = "forward and backward" if training else "forward"
        rows.append(Row(f"layer of 8 experts, 1 a frame, against the dense one, {name}", "1.4x", seen, ratio <= 1.4))
    return rows


def measure_kinds(wenet: Path | None, repeats: int) -> list[Row]:
    """Training steps of the smoke corpus's configurations against each other."""
    torch.set_num_threads(2)
    names = ("smoke", "smoke_3m", "smoke_3m_moe")
    times = alternate({name: our_step(experiment(f"{name}.yaml"), FULL_CONTEXT) for name in names}, repeats)
    rows = []
    for name in names:
        seen = f"{times[name] / times['smoke']:.2f}x ({1e3 * times[name]:.0f} ms)"
        rows.append(Row(f"training step of conf/{name}.yaml against conf/smoke.yaml's", "none", seen, True))
    return rows


FIGURES: dict[str, Callable[[Path | None, int], Iterable[Row]]] = {
    "training": measure_training,
    "streaming": measure_streaming,
    "hour": measure_hour,
    "multi_level": measure_multi_level,
    "mixture": measure_mixture,
    "kinds": measure_kinds,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wenet", type=Path, help="WeNet checkout to measure against")
    parser.add_argument("--only", choices=FIGURES, help="one figure instead of all")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each candidate (default: %(default)s)")
    args = parser.parse_args()
    print(machine_line())
    if args.wenet:
        open_checkout(args.wenet)
        config = experiment("u2pp_conformer.yaml")
        ours, theirs = (count_parameters(model) for model in (build_model(config, VOCAB_SIZE), wenet_model(config)))
        print(f"U2++: {ours} parameters, WeNet's {theirs}")
    wanted = [args.only] if args.only else list(FIGURES)
    return 0 if print_rows(row for name in wanted for row in FIGURES[name](args.wenet, args.repeats)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
