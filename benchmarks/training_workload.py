"""What the training benchmarks train on: recipes over noise or over a list, and batches that wait in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from wenet_lite.config import to_dict
from wenet_lite.data.augmentation import Augmenter
from wenet_lite.data.batch_plan import BatchPlan, MicroBatch
from wenet_lite.data.dataset import Batch, SpeechDataset
from wenet_lite.data.manifest import Manifest, read_manifest, write_manifest
from wenet_lite.data.utterance import Utterance
from wenet_lite.experiment import ExperimentConfig, build_model, read_experiment
from wenet_lite.features.fbank import FRAME_LENGTH, FRAME_SHIFT, SAMPLE_RATE, Fbank
from wenet_lite.training.trainer import Recipe

CPU = torch.device("cpu")
CONF = Path(__file__).resolve().parents[1] / "conf"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ' "
LETTERS_A_SECOND = 14
"""In LibriSpeech."""
STEADY = ("training.schedule.type=constant", "training.schedule.warmup_updates=1", "training.optimizer.lr=0.0001")
"""A learning rate at which a model survives noise."""


def experiment(name: str, *settings: str) -> ExperimentConfig:
    return read_experiment(CONF / f"{name}.yaml", settings)


def lengths_like_speech(hours: float, mean_seconds: float) -> np.ndarray:
    """Seconds of each utterance, spread about the mean."""
    count = round(3600 * hours / mean_seconds)
    return np.random.default_rng(0).gamma(9, mean_seconds / 9, count).clip(1.0, 15.0)


def noise_corpus(folder: Path, seconds: Iterable[float]) -> Manifest:
    """Utterances of noise with random transcripts, as wav files and a list of them."""
    draw = np.random.default_rng(0)
    utterances = []
    for number, length in enumerate(seconds):
        samples = 0.1 * draw.standard_normal(round(length * SAMPLE_RATE))
        path = folder / f"{number}.wav"
        soundfile.write(os.fspath(path), samples, SAMPLE_RATE)
        txt = "".join(draw.choice(list(LETTERS), round(length * LETTERS_A_SECOND)))
        utterances.append(Utterance(path.stem, os.fspath(path), txt, float(length), len(samples), SAMPLE_RATE))
    write_manifest(utterances, folder / "data.list")
    return read_manifest(folder / "data.list")


def encode(txt: str) -> list[int]:
    """Letters as units, which begin at 3."""
    return [3 + LETTERS.index(letter) for letter in txt]


class NoDevSet:
    """Takes the validator's place: the dev set is no part of the loop."""

    def measure(self, model: torch.nn.Module, **_: object) -> tuple[dict[str, float], list[Any]]:
        return {"loss": 0.0, "wer": 0.0}, []


def recipe_of(config: ExperimentConfig, manifest: Manifest, vocab_size: int, device: torch.device = CPU) -> Recipe:
    """What `wenet-lite train` would train on a list, without a dev set."""
    frames = np.maximum(0, 1 + (manifest.num_samples.astype(np.int64) - FRAME_LENGTH) // FRAME_SHIFT)
    plan = BatchPlan(frames, np.zeros_like(frames), config.batch, config.seed)
    dataset = SpeechDataset(manifest, encode, SAMPLE_RATE, Augmenter(config.augment, SAMPLE_RATE, config.seed))
    validator: Any = NoDevSet()
    return Recipe(
        build_model(config, vocab_size).to(device), Fbank(config.features).to(device), dataset, plan, "noise",
        validator, config.training, config.seed, to_dict(config),
    )  # fmt: skip


class HeldDataset(SpeechDataset):
    """Batches that are all in memory before the trainer is given the first of an epoch."""

    def __init__(self, dataset: SpeechDataset) -> None:
        super().__init__(dataset.manifest, dataset.encode, dataset.sample_rate, dataset.augmenter)

    def load(
        self, micro_batches: Iterable[MicroBatch], num_workers: int, *, pin_memory: bool = False
    ) -> Iterable[Batch]:
        return self.hand_out(list(super().load(micro_batches, 0, pin_memory=pin_memory)))

    def hand_out(self, batches: Sequence[Batch]) -> Iterable[Batch]:
        return batches


def held(recipe: Recipe) -> Recipe:
    """The same recipe, its batches in memory."""
    return replace(recipe, dataset=HeldDataset(recipe.dataset))
