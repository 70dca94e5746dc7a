"""Throughput of U2++ on a device in float32, TF32 and bfloat16, and the share of the device's peak."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from measure import Row
from torch.utils.flop_counter import FlopCounterMode
from training_workload import STEADY, experiment, held, lengths_like_speech, noise_corpus, recipe_of

from wenet_lite.data.manifest import Manifest
from wenet_lite.distributed import World
from wenet_lite.experiment import ExperimentConfig
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.training.trainer import Trainer

PRECISIONS = {
    "float32": ("training.precision=float32", "training.tf32=false"),
    "TF32": ("training.precision=float32", "training.tf32=true"),
    "bfloat16": ("training.precision=bfloat16", "training.tf32=false"),
}
VOCAB_SIZE = 5002
HOURS = 4.0
"""About ten updates of 1280 s, of which the first is no part of the figure."""


def measure_device(kind: str, settings: Sequence[str], peaks: Sequence[float] | None, repeats: int) -> Iterator[Row]:
    """Epochs from memory in each precision, which take turns."""
    device = torch.device(kind)
    name = torch.cuda.get_device_name(device) if kind == "cuda" else "the CPU"
    common = (*STEADY, "training.log_interval=1", "training.max_epochs=1", *settings)
    speeds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    with tempfile.TemporaryDirectory() as folder:
        manifest = noise_corpus(Path(folder), lengths_like_speech(HOURS, 12.0))
        operations = operations_a_second(experiment("u2pp_conformer", *common), manifest, device)
        for _ in range(repeats):
            for precision, its_settings in PRECISIONS.items():
                config = experiment("u2pp_conformer", *common, *its_settings)
                speeds[precision].append(times_real_time(config, manifest, device))
    layers = experiment("u2pp_conformer", *common).model.encoder.num_blocks
    for precision, peak in zip(PRECISIONS, peaks or [None] * len(PRECISIONS)):
        speed = statistics.median(speeds[precision])
        tflops = speed * operations / 1e12
        seen = f"{speed:.0f} s of audio a second, {tflops:.2f} TFLOP/s"
        if peak is not None:
            seen += f", {100 * tflops / peak:.1f} % of the peak"
        yield Row(f"u2pp_conformer, {layers} layers, {precision}, on {name}", "none", seen, True)


def operations_a_second(config: ExperimentConfig, manifest: Manifest, device: torch.device) -> float:
    """Floating-point operations of products of matrices, forward and backward, for each second of audio."""
    recipe = recipe_of(config, manifest, VOCAB_SIZE, device)
    batch = next(iter(recipe.dataset.load([recipe.plan.epoch(0).micro_batch(0)], 0))).to(device)
    features, lens = recipe.fbank(batch.waveforms, batch.num_samples)
    with FlopCounterMode(display=False) as counter:
        recipe.model(features, lens, batch.tokens, batch.token_lens).total.sum().backward()
    return counter.get_total_flops() / (int(batch.num_samples.sum()) / SAMPLE_RATE)


def times_real_time(config: ExperimentConfig, manifest: Manifest, device: torch.device) -> float:
    """Of an epoch's updates, as the trainer logs it; the first one, for which the device warms up, does not count."""
    # The trainer turns TF32 on, never off.
    torch.set_float32_matmul_precision("highest")
    recipe = held(recipe_of(config, manifest, VOCAB_SIZE, device))
    with tempfile.TemporaryDirectory() as folder:
        Trainer(recipe, None, Path(folder), World(), device).run()
        records = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    return statistics.median(record["times_real_time"] for record in records[1:] if record["kind"] == "train")
