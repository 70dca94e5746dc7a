"""The training loop: read it from `Trainer.run` down."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import torch

from wenet_lite.data.batch_plan import EpochPlan
from wenet_lite.data.dataset import Batch, silent_batch
from wenet_lite.distributed import World
from wenet_lite.errors import WenetLiteError
from wenet_lite.model.mask import TrainingChunk, draw_training_chunk
from wenet_lite.training.acceleration import Acceleration
from wenet_lite.training.bad_updates import BadUpdates
from wenet_lite.training.batch_norms import BatchNorms, set_training_mode
from wenet_lite.training.checkpoint import Checkpoint, order
from wenet_lite.training.checkpoint_writer import CheckpointWriter
from wenet_lite.training.forward_pass import ForwardPass
from wenet_lite.training.interruption import Wishes
from wenet_lite.training.meter import Meter
from wenet_lite.training.monitor import Monitor
from wenet_lite.training.optimizer import freeze
from wenet_lite.training.parallel import build_parallel
from wenet_lite.training.profiler import Profiler
from wenet_lite.training.recipe import Recipe
from wenet_lite.training.schedule import learning_rate
from wenet_lite.training.snapshot import restore, snapshot
from wenet_lite.training.step import Stepper
from wenet_lite.training.unreadable import Unreadable
from wenet_lite.training.weight_average import WeightAverage

_LOG = logging.getLogger(__name__)


class Trainer:
    """Trains a model under any number of ranks.

    An update takes the G micro-batches that the plan gives it; the ranks share them, the summed gradient
    is divided by the update's utterances, so the weights do not depend on the number of ranks but for
    rounding. Every draw is keyed by (seed, update), so a run that is killed and started again ends with
    the same weights. The loop itself waits for a GPU in records of metrics, checkpoints and the dev set alone (what
    inside of torch and the model waits: docs/performance.md).

    Args:
        recipe: model, data and options.
        checkpoint: where to go on from, or None to begin.
        exp_dir: receives `checkpoints/`, `metrics.jsonl` and `tensorboard/`.
        world: this process among the ranks.
        device: where the model is.
    """

    def __init__(
        self, recipe: Recipe, checkpoint: Checkpoint | None, exp_dir: Path, world: World, device: torch.device
    ) -> None:
        if world.size > recipe.plan.config.micro_batches_per_update:
            raise WenetLiteError(
                f"{world.size} processes cannot share {recipe.plan.config.micro_batches_per_update} micro-batches",
                cure="raise batch.micro_batches_per_update, or take fewer processes",
            )
        self.recipe, self.config, self.model = recipe, recipe.config, recipe.model
        self.world, self.device = world, device
        self.update = self.epoch = self.update_in_epoch = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        self.measured = False

        freeze(self.model, self.config.optimizer.freeze)
        self.acceleration = Acceleration(self.config, self.model, device)
        self.forward_pass = ForwardPass(recipe, self.acceleration, device)
        self.parallel = build_parallel(self.config.distribution, world)
        self.parallel.prepare(self.model, device)
        self.stepper = Stepper(
            self.model, self.config.optimizer, self.parallel, self.config.grad_clip, self.acceleration.scales, device
        )
        self.average = WeightAverage(self.model, self.config.ema_decay) if self.config.ema_decay else None
        self.batch_norms = BatchNorms(self.model, recipe.plan.config.micro_batches_per_update)
        manifest = recipe.dataset.manifest
        total = len(manifest) + len(manifest.rejected)
        self.unreadable = Unreadable(
            "training", total, total - len(recipe.plan.kept), self.config.max_bad_fraction, world
        )
        if checkpoint is not None:
            self._restore(checkpoint)
        self.total_updates = self._count_updates()
        if world.is_main and checkpoint is not None:
            _LOG.info("going on from update %d of %d", self.update, self.total_updates)

        self.bad_updates = BadUpdates(self.config.max_bad_updates, device)
        self.skipped = 0
        self.meter = Meter.of_model(self.model, device)
        self.profiler = Profiler(exp_dir / "profile", self.config.profile_updates, world)
        self.wishes = Wishes(world)
        self.monitor: Monitor | None = None
        self.writer: CheckpointWriter | None = None
        if world.is_main:
            self.monitor = Monitor(
                exp_dir, self.update, self.measured, self.total_updates, self.config, self.model.config
            )
            self.writer = CheckpointWriter(
                exp_dir / "checkpoints", self.update, self.config.keep_checkpoints, self.config.keep_best,
                self.config.best_by,
            )  # fmt: skip
        self._began = self._saved = time.monotonic()
        self._time_is_up = 0 < self.config.max_hours < self.seconds / 3600

    def run(self) -> bool:
        """Train to the end; whether it was reached: a run that a signal has stopped can go on."""
        stopped = False
        try:
            while not stopped and not self._is_finished():
                plan = self.recipe.plan.epoch(self.epoch)
                self.total_updates = self._count_updates()  # of the epochs to come a plan may have but an estimate
                stopped = self._train_epoch(plan) or self._finish_epoch(plan)
        finally:
            self.wishes.release_signals()
        self._close()
        return not stopped or self._is_finished()

    def _train_epoch(self, plan: EpochPlan) -> bool:
        """The rest of an epoch, or of the run; whether a signal has stopped it, and it is saved."""
        set_training_mode(self.model)
        self.recipe.fbank.train()
        self.meter.start()
        batches = self._batches(plan)
        stopped = False
        while self.update_in_epoch < plan.num_updates and not self._is_over() and not stopped:
            chunk = self._training_chunk()
            self.batch_norms.begin()
            for number in self._micro_batches(plan):
                batch = self.meter.wait_for(batches) if number < plan.micro_batches_per_update else None
                self._accumulate(batch, plan, number, chunk)
                self.batch_norms.collect()
            self._step()
            self._after_update(plan)
            stopped = self._heed_wishes()
        self.meter.stop()
        if stopped:
            self._save(None)
        return stopped

    def _batches(self, plan: EpochPlan) -> Iterator[Batch]:
        """This rank's batches of the rest of the epoch."""
        share = plan.of_rank(self.world.rank, self.world.size, self.update_in_epoch)
        pin_memory = self.device.type == "cuda"
        loaded = self.recipe.dataset.load(share, self.config.num_workers, pin_memory=pin_memory)
        return iter(loaded)

    def _micro_batches(self, plan: EpochPlan) -> range:
        """This rank's numbers of an update's micro-batches; from G on there are none, but ranks in step take part."""
        count = plan.micro_batches_per_update
        if self.parallel.in_step:
            count = -(-count // self.world.size) * self.world.size
        return range(self.world.rank, count, self.world.size)

    def _accumulate(self, batch: Batch | None, plan: EpochPlan, number: int, chunk: TrainingChunk) -> None:
        """Add the gradient of micro-batch `number` of this update."""
        self.unreadable.add(batch.failed if batch else {})
        heard = batch is not None and len(batch.keys) > 0
        if not heard:
            if not self.parallel.in_step:
                return
            batch = silent_batch()
        assert batch is not None
        torch.manual_seed((self.recipe.seed * 1_000_003 + self.update) * 1_009 + number)
        with self.acceleration.explain_memory(batch):
            losses = self.forward_pass(batch, chunk)
            share = losses.total.sum() * int(heard) / max(plan.num_utterances(self.update_in_epoch), 1)
            (share * self.stepper.loss_scale).backward()
        if heard:
            self.meter.add(losses, batch.num_samples)
            self.bad_updates.heard(self.update + 1, batch.keys, losses.total)

    def _step(self) -> None:
        """Move the weights."""
        losses = [dev["loss"] for dev in self.history]
        rate = learning_rate(self.config.schedule, self.config.optimizer.lr, self.update, self.total_updates, losses)
        searching = self.stepper.searching
        with self.acceleration.explain_memory():
            norm, skipped = self.stepper.step(rate)
        self.batch_norms.end(self.world, skipped)
        if self.average is not None:
            self.average.update(self.model, skipped)
        self.bad_updates.judged(self.update + 1, skipped, searching)
        self.meter.stepped(rate, norm)

    def _after_update(self, plan: EpochPlan) -> None:
        self.update += 1
        self.update_in_epoch += 1
        self.measured = False
        self.profiler.step()
        if self.monitor:
            self.monitor.advance()
        if self.update % self.config.log_interval == 0:
            self._record(plan)
        interval = self.config.checkpoint_interval
        if interval and self.update % interval == 0 and self.update_in_epoch < plan.num_updates:
            self._save(None)

    def _heed_wishes(self) -> bool:
        """Save or end where the time has come for it; whether a signal stops the run."""
        if self.world.is_main:
            minutes = (time.monotonic() - self._saved) / 60
            if 0 < self.config.checkpoint_minutes < minutes:
                self.wishes.wish(Wishes.SAVE)
                self._saved = time.monotonic()
            if 0 < self.config.max_hours < self._hours():
                self.wishes.wish(Wishes.END)
        wished = self.wishes.exchange()
        self._time_is_up = self._time_is_up or bool(wished & Wishes.END)
        stops = bool(wished & Wishes.STOP)
        if wished & Wishes.SAVE and not stops:
            self._save(None)
        return stops

    def _record(self, plan: EpochPlan) -> None:
        """Tell what has happened since the last time; here ranks wait for each other and for their GPUs."""
        metrics = self.meter.read(self.world)
        self.unreadable.report()
        metrics["bad_updates"] = self.skipped + self.bad_updates.report(self.world)
        self.skipped = 0
        if self.monitor:
            progress = {"epoch": self._progress(plan)}
            self.monitor.record("train", self.update, {**progress, **metrics, "padding": plan.padding})

    def _finish_epoch(self, plan: EpochPlan) -> bool:
        """Measure the dev set and save, before it too: it may take long; whether a signal stops the run."""
        self.skipped += self.bad_updates.report(self.world)
        self._save(None)
        progress = self._progress(plan)
        if self.update_in_epoch >= plan.num_updates:
            self.epoch, self.update_in_epoch = self.epoch + 1, 0
            self.unreadable.begin()
        averaged = self.average.applied_to(self.model) if self.average is not None else nullcontext()
        with averaged:
            dev, samples = self.recipe.validator.measure(
                self.model, in_step=self.parallel.in_step, autocast=self.acceleration.autocast
            )
        dev = {"epoch": progress, **dev}
        self.history.append(dev)
        self.measured = True
        if self.monitor:
            self.monitor.record_dev(self.update, self.history, samples, self._hours())
        self._save(dev)
        wished = self.wishes.agree()
        self._time_is_up = self._time_is_up or bool(wished & Wishes.END)
        return bool(wished & Wishes.STOP)

    def _progress(self, plan: EpochPlan) -> float:
        """Epochs done, with the part of this one."""
        return self.epoch + self.update_in_epoch / plan.num_updates

    def _is_over(self) -> bool:
        """Whether the last update is done."""
        return self.update >= self.total_updates or self._time_is_up

    def _is_finished(self) -> bool:
        """Whether there is no other epoch, and why."""
        if self._is_over():
            return self.measured
        results = [order(dev[self.config.best_by]) for dev in self.history]
        since_best = len(results) - 1 - min(range(len(results)), key=results.__getitem__) if results else 0
        if 0 < self.config.early_stop <= since_best:
            if self.world.is_main:
                _LOG.info("no better dev %s for %d epochs: the run ends early", self.config.best_by, since_best)
            return True
        return False

    def _count_updates(self) -> int:
        """Updates of the whole run, from where it stands: another G or other data make other epochs."""
        plan, last = self.recipe.plan, self.config.max_epochs
        total = self.update
        if self.epoch < last:
            of_this = plan.num_updates(self.epoch, self.epoch + 1)
            total += max(of_this - self.update_in_epoch, 0) + plan.num_updates(self.epoch, last) - of_this
        return min(total, self.config.max_updates) if self.config.max_updates else total

    def _hours(self) -> float:
        """Of training, over all restarts."""
        return (self.seconds + time.monotonic() - self._began) / 3600

    def _training_chunk(self) -> TrainingChunk:
        encoder = self.model.config.encoder
        if not encoder.use_dynamic_chunk:
            return TrainingChunk()
        return draw_training_chunk(self.recipe.seed, self.update, dynamic_left=encoder.use_dynamic_left_chunk)

    def _save(self, dev: dict[str, float] | None) -> None:
        """Hand a copy of everything to the writer; every rank takes part, and the main one has it written."""
        self.unreadable.report()
        copies = snapshot(self.model, self.stepper, self.average, self.world)
        self._saved = time.monotonic()
        if self.writer:
            self.writer.write(
                Checkpoint(
                    **copies,
                    update=self.update,
                    epoch=self.epoch,
                    update_in_epoch=self.update_in_epoch,
                    unreadable=sorted(self.unreadable.keys),
                    config=self.recipe.resolved,
                    data=self.recipe.data,
                    seconds=3600 * self._hours(),
                    history=list(self.history),
                    dev=dev,
                )
            )

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Go on where a checkpoint was saved."""
        restore(checkpoint, self.model, self.stepper, self.average)
        self.update, self.epoch = checkpoint.update, checkpoint.epoch
        self.update_in_epoch, self.seconds = checkpoint.update_in_epoch, checkpoint.seconds
        self.unreadable.begin(checkpoint.unreadable)
        self.history = list(checkpoint.history)
        self.measured = checkpoint.dev is not None

    def _close(self) -> None:
        self.wishes.close()
        self.profiler.close()
        if self.writer:
            self.writer.close()
        if self.monitor:
            self.monitor.close()
