"""One experiment: the configurations of all components put together, and what they build."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wenet_lite.config import apply_overrides, dump_yaml, from_dict, load_yaml, to_dict
from wenet_lite.data.augmentation import AugmentConfig, Augmenter
from wenet_lite.data.batch_plan import BatchConfig, BatchPlan
from wenet_lite.data.dataset import SpeechDataset
from wenet_lite.data.manifest import Manifest, read_manifest, read_manifests
from wenet_lite.data.shard_plan import ShardPlan
from wenet_lite.data.weighted_list import WeightedList
from wenet_lite.distributed import World
from wenet_lite.errors import ConfigError, DataError
from wenet_lite.features.cmvn import read_cmvn, write_cmvn
from wenet_lite.features.fbank import FRAME_LENGTH, FRAME_SHIFT, SAMPLE_RATE, Fbank, FbankConfig
from wenet_lite.model.asr_model import AsrModel, required_encoder_frames
from wenet_lite.model.model_config import ModelConfig
from wenet_lite.model.subsampling import SubsamplingType, required_frames
from wenet_lite.runtime.cpu import prepare_for_cpu
from wenet_lite.runtime.model_dir import LoadedModel, ModelDescription, load_model
from wenet_lite.text.rules import TextRules
from wenet_lite.text.tokenizer import UNKNOWN, WORD_START, Tokenizer, copy_lang_files, load_tokenizer
from wenet_lite.training.continuation import fingerprint
from wenet_lite.training.initialization import initialize, log_initialization
from wenet_lite.training.recipe import Recipe
from wenet_lite.training.training_config import TrainingConfig
from wenet_lite.training.validation import Validator

_LOG = logging.getLogger(__name__)

SCHEMA = 1
_SEEDS = 2**32
"""What is multiplied with numbers of updates and micro-batches must stay within torch's 64 bits."""
_MANY_UNKNOWN = 0.01


@dataclass(frozen=True)
class ExperimentConfig:
    """A YAML of conf/, and the resolved `train.yaml` of a run.

    Attributes:
        schema: version of this file's format.
        seed: of every random draw.
        text: what is done to transcripts before they become units.
        features: the front end.
        model: the network.
        batch: how utterances become batches.
        augment: what is done to waveforms in training, besides speed perturbation.
        training: loop, optimiser, schedule, augmentation.
    """

    schema: int = SCHEMA
    seed: int = 777
    text: TextRules = field(default_factory=TextRules)
    features: FbankConfig = field(default_factory=FbankConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema {self.schema} is not known, only {SCHEMA}")
        if not 0 <= self.seed < _SEEDS:
            raise ValueError(f"seed must be at least 0 and less than {_SEEDS}")


def read_experiment(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> ExperimentConfig:
    """Read a configuration and apply `key=value` overrides.

    Raises:
        ConfigError: for unknown keys and wrong values.
    """
    return from_dict(ExperimentConfig, apply_overrides(load_yaml(path), overrides), path=path)


def with_defaults(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """A resolved configuration with the settings that are newer than it, at their defaults.

    One that is of no use any more, such as one with a setting that is gone, stays as it is.
    """
    try:
        return to_dict(from_dict(ExperimentConfig, tree))
    except ConfigError:
        return tree


def load_run(
    config: ExperimentConfig, exp_dir: Path, checkpoint: Path, device: torch.device, *, pack: bool = True
) -> LoadedModel:
    """The model of a run on a device, as it is used after training.

    Args:
        config: of the run.
        exp_dir: holds its units and text rules.
        checkpoint: its weights, a state_dict.
        device: where model and front end are put.
        pack: lay the weights out for a CPU, if that is the device; such a model is for float32.
    Raises:
        CheckpointError: if the weights do not fit.
    """
    loaded = load_model(ModelDescription(config.features, config.model), checkpoint, exp_dir)
    if pack and device.type == "cpu":
        prepare_for_cpu(loaded.model)
    return LoadedModel(loaded.model.to(device), loaded.fbank.to(device), loaded.tokenizer)


def build_model(config: ExperimentConfig, vocab_size: int) -> AsrModel:
    """A model with weights drawn from the experiment's seed."""
    torch.manual_seed(config.seed)
    return AsrModel(config.model, config.features.num_mel_bins, vocab_size)


@dataclass(frozen=True)
class DataPaths:
    """Files that a training run reads.

    Attributes:
        train_data: lists to train on.
        dev_data: `data.list` to measure.
        lang_dir: BPE model, units and text rules.
        cmvn: `global_cmvn` of the training data.
        allow_pipes: whether commands in the lists may be run.
        init_from: checkpoint whose weights the model starts from; None for drawn ones.
        init_partial: whether a part of the tensors may be left over then.
    """

    train_data: Sequence[WeightedList]
    dev_data: str
    lang_dir: str
    cmvn: str
    allow_pipes: bool = False
    init_from: str | None = None
    init_partial: bool = False


def write_experiment(config: ExperimentConfig, paths: DataPaths, model: AsrModel, exp_dir: Path) -> None:
    """Write `train.yaml`, copies of the lang directory's files, and `global_cmvn` into a run's directory.

    The statistics are the model's own: where it has those of a checkpoint, they may be others than `paths.cmvn`.
    """
    dump_yaml(config, exp_dir / "train.yaml")
    copy_lang_files(paths.lang_dir, exp_dir)
    given = read_cmvn(paths.cmvn)
    statistics = model.encoder.global_cmvn.statistics(given)
    if statistics is not given and paths.init_from is None:  # else the log has told of it
        _LOG.warning("the model goes on with the CMVN statistics that it has so far, not with %s", paths.cmvn)
    write_cmvn(statistics, exp_dir / "global_cmvn")


def build_recipe(config: ExperimentConfig, paths: DataPaths, world: World, device: torch.device) -> Recipe:
    """Everything that a `Trainer` needs.

    Raises:
        DataError: for a list that cannot be used, or too much of which cannot.
        ConfigError: if the configuration does not fit the data or the lang directory.
        CheckpointError: if the weights to start from do not fit the model.
    """
    tokenizer = load_tokenizer(paths.lang_dir)
    if tokenizer.rules != config.text:
        raise ConfigError(f"{paths.lang_dir} has other text rules than the configuration", cure="make it with stage 3")
    if config.model.cr_ctc_weight and config.training.spec_augment is None and world.is_main:
        _LOG.warning("model.cr_ctc_weight without training.spec_augment: the two views differ by dropout alone")
    model = build_model(config, tokenizer.vocab_size)
    model.encoder.global_cmvn.set_stats(read_cmvn(paths.cmvn))
    if paths.init_from is not None:
        resolved = to_dict(config)
        initialization = initialize(model, tokenizer.units, paths.init_from, resolved, partial=paths.init_partial)
        if world.is_main:
            log_initialization(initialization, paths.init_from)
    fbank = Fbank(config.features).to(device)
    front_end = config.model.encoder.input_layer
    train = read_manifests([data.path for data in paths.train_data], allow_pipes=paths.allow_pipes)
    weights = [data.weight for data in paths.train_data]
    plan = plan_batches(train, tokenizer, front_end, config.batch, config.seed, weights)
    dev = read_manifest(paths.dev_data, allow_pipes=paths.allow_pipes)
    as_read = replace(
        config.batch, speed_factors=(1.0,), micro_batches_per_update=1, bucket_width=0.0, warm_up_largest=False
    )
    dev_plan = plan_batches(dev, tokenizer, front_end, as_read, config.seed)
    for manifest, its_plan in ((train, plan), (dev, dev_plan)):
        report_left_out(manifest, its_plan, config.training.max_bad_fraction, world)
    augmenter = Augmenter(config.augment, SAMPLE_RATE, config.seed, config.batch.plain_epochs)
    dataset = SpeechDataset(train, tokenizer.encode_transcript, SAMPLE_RATE, augmenter)
    dev_dataset = SpeechDataset(dev, tokenizer.encode_transcript, SAMPLE_RATE)
    validator = Validator(
        dev_dataset, dev_plan, tokenizer, fbank, config.training.num_workers, world, device,
        config.training.max_bad_fraction,
    )  # fmt: skip
    return Recipe(
        model, fbank, dataset, plan, fingerprint(plan), validator, config.training, config.seed, to_dict(config)
    )


def plan_batches(
    manifest: Manifest,
    tokenizer: Tokenizer,
    front_end: SubsamplingType,
    config: BatchConfig,
    seed: int,
    weights: Sequence[float] = (1.0,),
) -> BatchPlan:
    """The plan of a manifest, whose lists have `weights`: a `ShardPlan` where shards can only be read in sequence.

    Utterances without a known unit are left out, and those whose transcript is too long for their audio.
    """
    samples = manifest.num_samples.astype(np.int64) * SAMPLE_RATE // manifest.sample_rates
    frames = np.maximum(0, 1 + (samples - FRAME_LENGTH) // FRAME_SHIFT)
    needed = np.zeros(len(manifest), dtype=np.int64)
    unusable: dict[int, str] = {}
    silent = {tokenizer.units[UNKNOWN], tokenizer.units.get(WORD_START)}
    for part in manifest.parts:
        num_units = num_unknown = 0
        for index in part.indices:
            ids = tokenizer.encode_transcript(manifest[index].txt)
            num_units += len(ids)
            num_unknown += ids.count(tokenizer.units[UNKNOWN])
            needed[index] = required_frames(required_encoder_frames(ids), front_end)
            if not ids:
                unusable[index] = "has an empty transcript"
            elif silent.issuperset(ids):
                unusable[index] = "has a transcript of unknown characters only"
        if num_unknown > _MANY_UNKNOWN * num_units:
            share = 100 * num_unknown / num_units
            _LOG.warning("%s: %.1f %% of the units are unknown; is the lang directory of this text?", part.path, share)
    starts = [part.indices.start for part in manifest.parts]
    if manifest.streamed:
        return ShardPlan(frames, needed, config, seed, unusable, starts, weights, shard_starts=manifest.starts)
    return BatchPlan(frames, needed, config, seed, unusable, starts, weights)


def report_left_out(manifest: Manifest, plan: BatchPlan, max_bad_fraction: float, world: World) -> None:
    """Log of each list its size and its part in an epoch, and the utterances that a run leaves out, by id and reason.

    Raises:
        DataError: if they are more than `max_bad_fraction` of a list.
    """
    if world.is_main:
        paths = ", ".join(part.path for part in manifest.parts)
        _LOG.info("%s: padding %.1f %%", paths, 100 * plan.epoch(0).padding)
    for part, weight, share in zip(manifest.parts, plan.weights, shares(manifest, plan)):
        dropped = ((manifest[index].key, plan.dropped[index]) for index in plan.dropped if index in part.indices)
        left_out = [*part.rejected, *dropped]
        total = len(part.indices) + len(part.rejected)
        if world.is_main:
            for key, reason in left_out:
                _LOG.warning("utterance %s left out: %s", key, reason)
            hours = manifest.seconds[part.indices.start : part.indices.stop].sum() / 3600
            _LOG.info(
                "%s: %d utterances in, %d left out, %.2f h, weight %g, %.1f %% of an epoch",
                part.path, total, len(left_out), hours, weight, 100 * share,
            )  # fmt: skip
        if len(left_out) > max_bad_fraction * total:
            key, reason = left_out[0]
            raise DataError(
                f"{len(left_out)} of {total} utterances cannot be used, more than training.max_bad_fraction "
                f"{max_bad_fraction}; such as {key}: {reason}",
                path=part.path,
            )


def shares(manifest: Manifest, plan: BatchPlan) -> list[float]:
    """Part of an epoch's audio, before speed perturbation, that each list has in the mean."""
    seconds = np.zeros(len(manifest))
    seconds[plan.kept] = manifest.seconds[plan.kept]
    of_lists = np.split(seconds, plan.list_starts[1:])
    audio = np.array([weight * of_list.sum() for weight, of_list in zip(plan.weights, of_lists)])
    return (audio / audio.sum()).tolist()
