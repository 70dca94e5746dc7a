"""One experiment: the configurations of all components put together, and what they build."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from wenet_lite.config import apply_overrides, dump_yaml, from_dict, load_yaml, to_dict
from wenet_lite.data.batch_plan import BatchConfig, BatchPlan
from wenet_lite.data.dataset import SpeechDataset
from wenet_lite.data.manifest import Utterance, read_manifest
from wenet_lite.distributed import World
from wenet_lite.errors import DataError
from wenet_lite.features.cmvn import read_cmvn
from wenet_lite.features.fbank import SAMPLE_RATE, Fbank, FbankConfig, num_frames
from wenet_lite.model.asr_model import AsrModel, ModelConfig, required_encoder_frames
from wenet_lite.text.tokenizer import LANG_FILES, BpeTokenizer
from wenet_lite.training.trainer import Recipe, TrainingConfig
from wenet_lite.training.validation import Validator

_LOG = logging.getLogger(__name__)

SCHEMA = 1


@dataclass(frozen=True)
class ExperimentConfig:
    """A YAML of conf/, and the resolved `train.yaml` of a run.

    Attributes:
        schema: version of this file's format.
        seed: of every random draw.
        features: the front end.
        model: the network.
        batch: how utterances become batches.
        training: loop, optimiser, schedule, augmentation.
    """

    schema: int = SCHEMA
    seed: int = 777
    features: FbankConfig = field(default_factory=FbankConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema {self.schema} is not known, only {SCHEMA}")


def read_experiment(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Read a configuration and apply `key=value` overrides.

    Raises:
        ConfigError: for unknown keys and wrong values.
    """
    return from_dict(ExperimentConfig, apply_overrides(load_yaml(path), overrides), path=path)


def build_model(config: ExperimentConfig, vocab_size: int) -> AsrModel:
    """A model with weights drawn from the experiment's seed."""
    torch.manual_seed(config.seed)
    return AsrModel(config.model, config.features.num_mel_bins, vocab_size)


@dataclass(frozen=True)
class DataPaths:
    """Files that a training run reads.

    Attributes:
        train_data, dev_data: `data.list` of each.
        lang_dir: BPE model, units and text rules.
        cmvn: `global_cmvn` of the training data.
    """

    train_data: str
    dev_data: str
    lang_dir: str
    cmvn: str


def write_experiment(config: ExperimentConfig, paths: DataPaths, exp_dir: Path) -> None:
    """Write `train.yaml` and copies of the lang directory's files and of `global_cmvn` into a run's directory."""
    dump_yaml(config, exp_dir / "train.yaml")
    for source in (*(Path(paths.lang_dir) / name for name in LANG_FILES), Path(paths.cmvn)):
        shutil.copyfile(source, exp_dir / source.name)


def build_recipe(config: ExperimentConfig, paths: DataPaths, world: World, device: torch.device) -> Recipe:
    """Everything that a `Trainer` needs."""
    tokenizer = BpeTokenizer(paths.lang_dir)
    model = build_model(config, tokenizer.vocab_size)
    model.encoder.global_cmvn.set_stats(read_cmvn(paths.cmvn))
    model.to(device)
    fbank = Fbank(config.features).to(device)
    dataset, plan = _data(paths.train_data, tokenizer, config.batch, config.seed, world)
    as_read = replace(config.batch, speed_factors=(1.0,), micro_batches_per_update=1, length_jitter=0.0)
    dev_dataset, dev_plan = _data(paths.dev_data, tokenizer, as_read, config.seed, world)
    validator = Validator(dev_dataset, dev_plan, fbank, config.training.num_workers, world, device)
    return Recipe(model, fbank, dataset, plan, validator, config.training, config.seed, to_dict(config))


def _data(
    path: str, tokenizer: BpeTokenizer, config: BatchConfig, seed: int, world: World
) -> tuple[SpeechDataset, BatchPlan]:
    utterances = read_manifest(path)
    tokens = [tokenizer.encode(utterance.txt) for utterance in utterances]
    for utterance, ids in zip(utterances, tokens):
        if not ids:
            raise DataError(f"utterance '{utterance.key}' has an empty transcript", path=path)
    frames = np.array([num_frames(_samples_at_16k(utterance)) for utterance in utterances])
    # encoder frames to feature frames: the inverse of subsampled_length
    needed = np.array([4 * required_encoder_frames(ids) + 3 for ids in tokens])
    plan = BatchPlan(frames, needed, config, seed)
    if world.is_main:
        for index, reason in plan.dropped.items():
            _LOG.warning("utterance %s left out: %s", utterances[index].key, reason)
        hours = sum(utterances[i].duration for i in plan.kept) / 3600
        padding = plan.epoch(0).padding
        _LOG.info(
            "%s: %d utterances in, %d left out, %.2f h, padding %.1f %%",
            Path(path), len(utterances), len(plan.dropped), hours, 100 * padding,
        )  # fmt: skip
    return SpeechDataset(utterances, tokens, SAMPLE_RATE), plan


def _samples_at_16k(utterance: Utterance) -> int:
    return utterance.num_samples * SAMPLE_RATE // utterance.sample_rate
