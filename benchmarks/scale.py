"""What training on a thousand to a hundred thousand hours takes, from what is measured here.

    python benchmarks/scale.py [--utterances 30000000] [--corpus <folder with FLAC files>] [--only plan|manifest|cost]
        [--peak-tflops 989 --share 0.2]

`plan` plans an epoch of so many utterances, for real, in a process of its own, whose peak memory is told: as lists of
files, and as shards that are read as streams. `manifest` reads a list of a million utterances. `cost` counts the
operations of U2++ for a second of audio, and bytes of FLAC, and works out the rest for the peak of a GPU and the share
of it that training reaches, which are given, not measured: docs/scale.md says where they come from. With FLAC files it
measures how fast one core decodes them.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))

from measure import alternate, seconds_and_bytes
from training_device import operations_a_second
from training_workload import CPU, experiment, lengths_like_speech, noise_corpus

from wenet_lite.data.audio import read_audio
from wenet_lite.data.batch_plan import BatchPlan
from wenet_lite.data.manifest import read_manifest, write_manifest
from wenet_lite.data.shard_plan import ShardPlan
from wenet_lite.data.utterance import Utterance

CONFIGURATION = "u2pp_conformer"
HOURS = (1_000, 10_000, 100_000)
MEAN_SECONDS = 12.3
"""Of an utterance of LibriSpeech's training set: 961 h, 281241 utterances."""
EPOCHS, SHARD_SIZE, FRAMES_A_SECOND = 120, 1000, 100
LISTED = 1_000_000


def frames_like_speech(count: int) -> np.ndarray:
    """(count,) feature frames of utterances, spread as in LibriSpeech."""
    random = np.random.default_rng(0)
    return random.gamma(5, MEAN_SECONDS * FRAMES_A_SECOND / 5, count).astype(np.int64).clip(100, 3500)


def plan_lists(count: int) -> BatchPlan:
    frames = frames_like_speech(count)
    return BatchPlan(frames, frames // 20, experiment(CONFIGURATION).batch, seed=0)


def plan_shards(count: int) -> ShardPlan:
    frames, starts = frames_like_speech(count), np.arange(0, count, SHARD_SIZE)
    return ShardPlan(frames, frames // 20, experiment(CONFIGURATION).batch, seed=0, shard_starts=starts)


def read_list(path: Path) -> int:
    return len(read_manifest(path))


def write_list(count: int, path: Path) -> None:
    """Utterances whose files nobody opens."""
    seconds = frames_like_speech(count) / FRAMES_A_SECOND
    text = " ".join(["WORDS"] * 35)
    write_manifest(
        (
            Utterance(f"{i:09d}", f"corpus/{i // 1000}/{i:09d}.flac", text, float(each), round(each * 16000), 16000)
            for i, each in enumerate(seconds)
        ),
        path,
    )


def plan_epoch(plan_of: Callable[[int], BatchPlan], count: int) -> None:
    """An epoch, and the number of updates of all epochs, which the learning rate may need."""
    plan = plan_of(count)
    plan.epoch(0)
    plan.num_updates(0, EPOCHS)


def tell_plan(args: argparse.Namespace) -> Iterator[str]:
    """Of lists of files, and of shards."""
    yield f"| epoch of {args.utterances} utterances, and the updates of {EPOCHS} | seconds | GB |"
    yield "|---|---|---|"
    for name, plan_of in (("lists", plan_lists), ("shards as streams", plan_shards)):
        seconds, peak = seconds_and_bytes(plan_epoch, plan_of, args.utterances)
        yield f"| {name} | {seconds:.0f} | {peak / 1e9:.1f} |"


def tell_manifest(_: argparse.Namespace) -> Iterator[str]:
    """A list of a million utterances, read as a whole when training starts."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "data.list"
        write_list(LISTED, path)
        seconds, peak = seconds_and_bytes(read_list, path)
        size = path.stat().st_size
    yield f"list of {LISTED} utterances, {size / 1e6:.0f} MB: {seconds:.1f} s, {peak / 1e6:.0f} MB"


def tell_cost(args: argparse.Namespace) -> Iterator[str]:
    """What a GPU takes of audio, and a row for each size of corpus."""
    with tempfile.TemporaryDirectory() as name:
        manifest = noise_corpus(Path(name), lengths_like_speech(0.05, 12.0))
        operations = operations_a_second(experiment(CONFIGURATION), manifest, CPU)
    batch = experiment(CONFIGURATION).batch
    speed = 1e12 * args.peak_tflops * args.share / operations
    yield f"{CONFIGURATION}: {operations / 1e9:.1f} GFLOP a second of audio"
    yield f"{100 * args.share:g} % of {args.peak_tflops:g} TFLOP/s: a GPU takes {speed:.0f} s of audio a second"
    bytes_a_second = 0.0
    if args.corpus:
        bytes_a_second, decoded = flac_figures(args.corpus)
        yield f"FLAC: {bytes_a_second / 1e3:.1f} kB a second of audio; a core decodes {decoded:.0f} s of audio a second"
        yield f"so a GPU reads {speed * bytes_a_second / 1e6:.0f} MB a second; {speed / decoded:.1f} cores decode"
    yield "| hours | utterances | shards | FLAC, TB | updates an epoch | GPU-hours an epoch |"
    yield "|---|---|---|---|---|---|"
    for hours in HOURS:
        utterances = round(3600 * hours / MEAN_SECONDS)
        updates = 3600 * hours * FRAMES_A_SECOND / (batch.max_frames * batch.micro_batches_per_update)
        size = f"{3600 * hours * bytes_a_second / 1e12:.2f}" if bytes_a_second else "-"
        yield (
            f"| {hours} | {utterances / 1e6:.1f} M | {math.ceil(utterances / SHARD_SIZE)} | {size} | {updates:.0f} "
            f"| {hours / speed:.2f} |"
        )


def flac_figures(folder: Path) -> tuple[float, float]:
    """Bytes of a second of audio, and seconds of audio that one core decodes in a second, of a folder's FLAC files."""
    files = sorted(folder.rglob("*.flac"))
    if not files:
        raise SystemExit(f"there are no FLAC files in {folder}")
    seconds = sum(soundfile.info(file).duration for file in files)
    times = alternate({"decode": lambda: [read_audio(os.fspath(file)) for file in files]}, 3)
    return sum(file.stat().st_size for file in files) / seconds, seconds / times["decode"]


FIGURES: dict[str, Callable[[argparse.Namespace], Iterator[str]]] = {
    "plan": tell_plan,
    "manifest": tell_manifest,
    "cost": tell_cost,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=30_000_000, help="that are planned (default: %(default)s)")
    parser.add_argument("--corpus", type=Path, help="folder with FLAC files, at any depth, for bytes a second")
    parser.add_argument("--peak-tflops", type=float, default=989, help="of a GPU (default: %(default)s, H200 bfloat16)")
    parser.add_argument("--share", type=float, default=0.1, help="of it that training reaches (default: %(default)s)")
    parser.add_argument("--only", choices=FIGURES, help="one figure instead of all")
    args = parser.parse_args()
    for name in [args.only] if args.only else FIGURES:
        for line in FIGURES[name](args):
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
