"""The training loop: read it from `Trainer.run` down."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wenet_lite.config import differences
from wenet_lite.data.batch_plan import BatchPlan, EpochPlan
from wenet_lite.data.dataset import Batch, SpeechDataset
from wenet_lite.data.draws import utterance_draws
from wenet_lite.distributed import World, gather_objects, sum_over_ranks
from wenet_lite.errors import DataError, WenetLiteError
from wenet_lite.features.fbank import Fbank
from wenet_lite.features.spec_augment import (
    SpecAugmentConfig,
    SpecSubConfig,
    SpecTrimConfig,
    spec_augment,
    spec_sub,
    spec_trim,
)
from wenet_lite.model.architecture import refuse_other_architecture
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.mask import TrainingChunk, draw_training_chunk
from wenet_lite.model.weights import load_weights
from wenet_lite.training.batch_norms import BatchNorms
from wenet_lite.training.checkpoint import Checkpoint, dev_loss_of, list_checkpoints, load_latest, save_checkpoint
from wenet_lite.training.meter import Meter
from wenet_lite.training.monitor import Monitor
from wenet_lite.training.optimizer import OptimizerConfig, build_optimizer
from wenet_lite.training.schedule import ScheduleConfig, learning_rate
from wenet_lite.training.validation import Validator

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingConfig:
    """Attributes:
    max_epochs: passes over the training data.
    grad_clip: largest norm of an update's gradient.
    max_bad_updates: updates in a row with a gradient that is not finite, after which the run stops.
    max_bad_fraction: part of an epoch's utterances that may be unusable or unreadable.
    log_interval: updates between two records of metrics.
    checkpoint_interval: updates between two checkpoints, besides the one after each epoch.
    keep_checkpoints: newest checkpoints kept.
    keep_best: checkpoints with the lowest dev loss kept besides.
    num_workers: processes that load data, for each rank.
    optimizer, schedule: how weights and learning rate move.
    spec_augment, spec_sub, spec_trim: what is done to features; null for nothing.
    """

    max_epochs: int = 120
    grad_clip: float = 5.0
    max_bad_updates: int = 20
    max_bad_fraction: float = 0.01
    log_interval: int = 100
    checkpoint_interval: int = 1000
    keep_checkpoints: int = 2
    keep_best: int = 10
    num_workers: int = 1
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    spec_augment: SpecAugmentConfig | None = field(default_factory=SpecAugmentConfig)
    spec_sub: SpecSubConfig | None = None
    spec_trim: SpecTrimConfig | None = None


@dataclass(frozen=True)
class Recipe:
    """What a run trains, and on what.

    Attributes:
        model: on its device already.
        fbank: the front end, on the same device.
        dataset: training utterances.
        plan: their batches.
        validator: measures the dev set.
        config: the trainer's options.
        seed: of every draw.
        resolved: the whole configuration as plain mappings, kept in checkpoints.
    """

    model: AsrModel
    fbank: Fbank
    dataset: SpeechDataset
    plan: BatchPlan
    validator: Validator
    config: TrainingConfig
    seed: int
    resolved: dict[str, Any]


class Trainer:
    """Trains a model under any number of ranks.

    An update takes the G micro-batches that the plan gives it; the ranks share them, the summed gradient
    is divided by the update's utterances, so the weights do not depend on the number of ranks but for
    rounding. Gradients travel as one flat tensor. Every draw is keyed by (seed, update), so a run that is
    killed and started again ends with the same weights.

    Args:
        recipe: model, data and options.
        exp_dir: receives `checkpoints/`, `metrics.jsonl` and `tensorboard/`.
        world: this process among the ranks.
        device: where the model is.
    """

    def __init__(self, recipe: Recipe, exp_dir: Path, world: World, device: torch.device) -> None:
        if recipe.plan.config.micro_batches_per_update % world.size:
            raise WenetLiteError(
                f"{world.size} processes cannot share {recipe.plan.config.micro_batches_per_update} micro-batches",
                cure="set batch.micro_batches_per_update to a multiple of the number of processes",
            )
        self.recipe, self.config, self.model = recipe, recipe.config, recipe.model
        self.world, self.device = world, device
        self.optimizer = build_optimizer(recipe.model, recipe.config.optimizer)
        self.folder = exp_dir / "checkpoints"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.total_updates = recipe.plan.num_updates(recipe.config.max_epochs)
        self.update = self.epoch = self.update_in_epoch = 0
        for parameter in self._parameters():  # a rank may have no utterance in its first update
            parameter.grad = torch.zeros_like(parameter)
        self._resume()
        self.monitor = Monitor(exp_dir, self.update, self.total_updates) if world.is_main else None
        loss_parts = [*recipe.model.loss_parts, *(["cr_ctc"] if recipe.model.config.cr_ctc_weight else [])]
        encoder = recipe.model.config.encoder
        num_experts = encoder.moe.num_experts if encoder.moe else 0
        self.meter = Meter(device, loss_parts, encoder.layers_with_experts, num_experts)
        self.batch_norms = BatchNorms(recipe.model, recipe.plan.config.micro_batches_per_update)
        self.bad_updates = 0

    def run(self) -> None:
        """Train to the last epoch."""
        while self.epoch < self.config.max_epochs:
            self._train_epoch(self.recipe.plan.epoch(self.epoch))
            self.epoch, self.update_in_epoch = self.epoch + 1, 0
            dev = self.recipe.validator.measure(self.model)
            if self.monitor:
                self.monitor.record("dev", self.update, {"epoch": self.epoch, **dev})
            self._save(dev["loss"])
        if self.monitor:
            self.monitor.close()

    def _train_epoch(self, plan: EpochPlan) -> None:
        self.model.train()
        self.recipe.fbank.train()
        share = plan.of_rank(self.world.rank, self.world.size, self.update_in_epoch)
        workers = self.config.num_workers
        batches = iter(self.recipe.dataset.load(share, workers, epoch=self.epoch, pin_memory=self._on_gpu))
        per_rank = plan.micro_batches_per_update // self.world.size
        failed: dict[str, str] = {}
        while self.update_in_epoch < plan.num_updates:
            num_utterances = plan.num_utterances(self.update_in_epoch)
            chunk = self._training_chunk()
            self.batch_norms.begin()
            for i in range(per_rank):
                number = i * self.world.size + self.world.rank
                self._accumulate(next(batches), num_utterances, number, chunk, failed)
                self.batch_norms.collect()
            self._step()
            self._after_update(plan)
        self._report_failed(failed)

    def _accumulate(
        self, batch: Batch, num_utterances: int, number: int, chunk: TrainingChunk, failed: dict[str, str]
    ) -> None:
        """Add the gradient of micro-batch `number` of this update."""
        failed.update(batch.failed)
        if not batch.keys:
            return
        draw = (self.recipe.seed * 1_000_003 + self.update) * 1_009 + number
        torch.manual_seed(draw)
        batch = batch.to(self.device)
        features, lens = self.recipe.fbank(batch.waveforms, batch.num_samples)
        draws = [utterance_draws(self.recipe.seed, batch.epoch, key, "spectrum") for key in batch.keys]
        if self.config.spec_trim is not None:
            lens = spec_trim(lens, self.config.spec_trim, draws)
        view = self._augmented(features, lens, draws)
        rest = (lens, batch.tokens, batch.token_lens, chunk.size, chunk.num_left_chunks)
        if self.model.config.cr_ctc_weight:
            losses = self.model.consistent_losses((view, self._augmented(features, lens, draws)), *rest)
        else:
            losses = self.model(view, *rest)
        (losses.total.sum() / num_utterances).backward()
        self.meter.add(losses, batch.num_samples)

    def _augmented(self, features: Tensor, lens: Tensor, draws: Sequence[np.random.Generator]) -> Tensor:
        """One view of (batch, frames, bins) features; drawn anew at each call."""
        config = self.config
        if config.spec_augment is not None:
            mean = self.model.encoder.global_cmvn.mean
            features = spec_augment(features, lens, mean, config.spec_augment, draws)
        if config.spec_sub is not None:
            features = spec_sub(features, lens, config.spec_sub, draws)
        return features

    def _step(self) -> None:
        """Reduce over ranks, clip, and move the weights; a gradient that is not finite moves nothing."""
        if self.world.size > 1:
            sum_over_ranks([p.grad for p in self._parameters() if p.grad is not None])
        norm = nn.utils.clip_grad_norm_(self._parameters(), self.config.grad_clip)
        rate = learning_rate(self.config.schedule, self.config.optimizer.lr, self.update, self.total_updates)
        if math.isfinite(norm):
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
        self.batch_norms.end(self.world, apply=math.isfinite(norm))
        self._count_bad(math.isfinite(norm))
        self.optimizer.zero_grad(set_to_none=False)
        self.meter.last_step = {"learning_rate": rate, "grad_norm": float(norm)}

    def _after_update(self, plan: EpochPlan) -> None:
        self.update += 1
        self.update_in_epoch += 1
        if self.monitor:
            self.monitor.advance()
        if self.update % self.config.log_interval == 0:
            metrics = self.meter.read(self.world)
            if self.monitor:
                progress = self.epoch + self.update_in_epoch / plan.num_updates
                self.monitor.record("train", self.update, {"epoch": progress, **metrics, "padding": plan.padding})
        last = self.update_in_epoch == plan.num_updates
        if not last and self.update % self.config.checkpoint_interval == 0:
            self._save(None)

    def _training_chunk(self) -> TrainingChunk:
        encoder = self.model.config.encoder
        if not encoder.use_dynamic_chunk:
            return TrainingChunk()
        return draw_training_chunk(self.recipe.seed, self.update, dynamic_left=encoder.use_dynamic_left_chunk)

    def _count_bad(self, finite: bool) -> None:
        self.bad_updates = 0 if finite else self.bad_updates + 1
        if self.bad_updates:
            _LOG.warning("update %d: the gradient is not finite; skipped", self.update + 1)
        if self.bad_updates >= self.config.max_bad_updates:
            raise WenetLiteError(
                f"{self.bad_updates} updates in a row had a gradient that is not finite",
                cure="lower training.optimizer.lr or raise warmup_updates",
            )

    def _report_failed(self, failed: dict[str, str]) -> None:
        """List what could not be read; too much of it, with what the plan left out, is an error."""
        merged = {key: reason for part in gather_objects(failed, self.world) for key, reason in part.items()}
        if self.world.is_main:
            for key, reason in sorted(merged.items()):
                _LOG.warning("utterance %s left out: %s", key, reason)
        total = len(self.recipe.dataset.manifest) + len(self.recipe.dataset.manifest.rejected)
        bad = total - len(self.recipe.plan.kept) + len(merged)
        if merged and bad > self.config.max_bad_fraction * total:
            example = min(merged.values())
            raise DataError(
                f"{bad} of {total} utterances cannot be used, more than training.max_bad_fraction "
                f"{self.config.max_bad_fraction}; {len(merged)} could not be read, such as {example}"
            )

    def _resume(self) -> None:
        checkpoint = load_latest(self.folder)
        if checkpoint is None:
            return
        changes = differences(checkpoint.config, self.recipe.resolved)
        refuse_other_architecture(changes, self.folder)
        load_weights(self.model, checkpoint.model, self.folder)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.update, self.epoch = checkpoint.update, checkpoint.epoch
        self.update_in_epoch = checkpoint.update_in_epoch
        if self.world.is_main:
            _LOG.info("going on from update %d of %d", self.update, self.total_updates)
            for change in changes:
                _LOG.warning("the configuration has changed since that update: %s", change)

    def _save(self, dev_loss: float | None) -> None:
        if not self.world.is_main:
            return
        checkpoint = Checkpoint(
            update=self.update,
            epoch=self.epoch,
            update_in_epoch=self.update_in_epoch,
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            config=self.recipe.resolved,
            dev_loss=dev_loss,
        )
        save_checkpoint(checkpoint, self.folder)
        self._prune()

    def _prune(self) -> None:
        """Keep the newest checkpoints and the best by dev loss."""
        paths = list_checkpoints(self.folder)
        losses = {path: dev_loss_of(path) for path in paths}
        best = sorted((path for path in paths if losses[path] is not None), key=lambda path: losses[path] or 0.0)
        keep = {*paths[-self.config.keep_checkpoints :], *best[: self.config.keep_best]}
        for path in paths:
            if path not in keep:
                path.unlink()

    def _parameters(self) -> list[nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad]

    @property
    def _on_gpu(self) -> bool:
        return self.device.type == "cuda"
