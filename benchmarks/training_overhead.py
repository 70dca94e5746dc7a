"""The trainer's own cost: over a bare loop, and of its checkpoints."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import Row
from torch import nn
from training_workload import CPU, STEADY, HeldDataset, experiment, lengths_like_speech, noise_corpus, recipe_of

from wenet_lite.data.dataset import Batch, SpeechDataset
from wenet_lite.data.draws import utterance_draws
from wenet_lite.distributed import World
from wenet_lite.experiment import ExperimentConfig
from wenet_lite.features.spec_augment import spec_augment
from wenet_lite.model.mask import draw_training_chunk
from wenet_lite.training.checkpoint import list_checkpoints, update_of
from wenet_lite.training.cpu import train_through_onednn
from wenet_lite.training.optimizer import build_optimizer
from wenet_lite.training.trainer import Recipe, Trainer

TURN = 5
"""Updates of the trainer, and then of the bare loop."""


def now() -> np.ndarray:
    """Seconds by the clock, and of processor time, which other processes on the machine do not lengthen."""
    return np.array([time.perf_counter(), time.process_time()])


class BareLoop:
    """Front end, SpecAugment, forward, backward, clip, step: what a training loop cannot do without."""

    def __init__(self, config: ExperimentConfig, recipe: Recipe) -> None:
        self.recipe, self.model, self.fbank = recipe, recipe.model.train(), recipe.fbank.train()
        train_through_onednn(self.model)
        self.optimizer = build_optimizer(self.model, config.training.optimizer)
        self.dynamic_left = config.model.encoder.use_dynamic_left_chunk
        self.done = 0

    def update(self, batches: Sequence[Batch]) -> None:
        recipe, config = self.recipe, self.recipe.config
        chunk = draw_training_chunk(recipe.seed, self.done, dynamic_left=self.dynamic_left)
        utterances = sum(len(batch.keys) for batch in batches)
        for batch in batches:
            features, lens = self.fbank(batch.waveforms, batch.num_samples)
            taken = zip(batch.occurrences, batch.keys)
            draws = [utterance_draws(recipe.seed, occurrence, key, "spectrum") for occurrence, key in taken]
            assert config.spec_augment is not None
            view = spec_augment(features, lens, self.model.encoder.global_cmvn.mean, config.spec_augment, draws)
            losses = self.model(view, lens, batch.tokens, batch.token_lens, chunk.size, chunk.num_left_chunks)
            (losses.total.sum() / utterances).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), config.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.done += 1


class TakingTurns(HeldDataset):
    """Hands batches to the trainer; every few updates a bare loop takes its turn on them. Clocks both, epoch by epoch.

    The bare loop goes first in every other epoch: whoever does is slower by some per cent, on the same work. The
    trainer's epoch lasts until its next one begins, so with the records, and with all of its checkpoint that the
    trainer waits for; of what is written in the background both have their part.
    """

    def __init__(self, dataset: SpeechDataset, bare: BareLoop, micro_batches_per_update: int) -> None:
        super().__init__(dataset)
        self.bare, self.micro_batches = bare, micro_batches_per_update
        self.trainer_seconds: list[np.ndarray] = []
        self.bare_seconds: list[np.ndarray] = []
        self._pending: list[tuple[int, Sequence[Batch]]] = []
        self._resumed: np.ndarray | None = None

    def load(self, *args: Any, **options: Any) -> Iterable[Batch]:
        self.stop()
        return super().load(*args, **options)

    def hand_out(self, batches: Sequence[Batch]) -> Iterator[Batch]:
        epoch = len(self.trainer_seconds)
        self.trainer_seconds.append(np.zeros(2))
        self.bare_seconds.append(np.zeros(2))
        for start in range(0, len(batches), TURN * self.micro_batches):
            turn = batches[start : start + TURN * self.micro_batches]
            updates = [turn[first : first + self.micro_batches] for first in range(0, len(turn), self.micro_batches)]
            self.stop()
            if epoch % 2:
                self.catch_up()
            self._pending += [(epoch, update) for update in updates]
            if epoch % 2 == 0:
                self.catch_up()
            self._resumed = now()
            yield from turn

    def stop(self) -> None:
        """The trainer's turn is over."""
        if self._resumed is not None:
            self.trainer_seconds[-1] += now() - self._resumed
            self._resumed = None

    def catch_up(self) -> None:
        """The bare loop's turn."""
        for epoch, batches in self._pending:
            started = now()
            self.bare.update(batches)
            self.bare_seconds[epoch] += now() - started
        self._pending.clear()


def measure_overhead(repeats: int) -> Iterator[Row]:
    """Pairs of epochs of the trainer against those of a bare loop, on the smoke configuration.

    The first does not count, nor does the last, at the end of which the trainer waits for the disk.
    """
    torch.set_num_threads(1)
    config = experiment("smoke", *STEADY, f"training.max_epochs={2 * repeats + 2}")
    with tempfile.TemporaryDirectory() as folder:
        manifest = noise_corpus(Path(folder), lengths_like_speech(0.25, 3.3))
        recipe = recipe_of(config, manifest, 31)
        bare = BareLoop(config, recipe_of(config, manifest, 31))
        turns = TakingTurns(recipe.dataset, bare, config.batch.micro_batches_per_update)
        Trainer(replace(recipe, dataset=turns), None, Path(folder), World(), CPU).run()
        turns.stop()
        turns.catch_up()
    updates = bare.done // (2 * repeats + 2)
    epochs = np.array([turns.trainer_seconds, turns.bare_seconds])[:, 1:-1]
    sides = epochs.reshape(2, repeats, 2, 2).mean(axis=2) / updates
    overheads = np.median(sides[0] / sides[1], axis=0) - 1
    milliseconds = 1e3 * np.median(sides, axis=1)
    for number, clock in enumerate(("by the clock", "in processor time")):
        subject = f"training loop over a bare one, smoke, a checkpoint in {updates} updates, {clock}"
        overhead, (ours, theirs) = float(overheads[number]), milliseconds[:, number]
        seen = f"{100 * overhead:+.1f} % ({ours:.0f} against {theirs:.0f} ms an update)"
        yield Row(subject, "3 % more", seen, overhead <= 0.03)


@dataclass(frozen=True)
class Saving:
    """How a checkpoint is measured.

    Attributes:
        name: configuration.
        vocab_size: units of its corpus.
        settings: that make its updates short.
        seconds: of each utterance.
        utterances: of an update.
        window: updates in which a checkpoint is sure to be written; as many follow without one.
        interval: updates between two checkpoints of the recipe.
    """

    name: str
    vocab_size: int
    settings: tuple[str, ...]
    seconds: float
    utterances: int
    window: int
    interval: int


SAVINGS = (
    Saving("smoke", 31, ("batch.batch_size=4",), 4.4, 8, 12, 310),
    Saving("u2pp_conformer", 5002, ("batch.batch_size=1", "batch.micro_batches_per_update=1"), 5.0, 1, 12, 1000),
)
"""An epoch of the smoke corpus has 310 updates; `u2pp_conformer` saves every 1000, each of 1280 s of audio."""


class SavingTrainer(Trainer):
    """Notes how long a checkpoint makes the loop wait."""

    def __init__(self, *args: Any) -> None:
        self.waits: list[float] = []
        super().__init__(*args)

    def _save(self, dev: dict[str, float] | None) -> None:
        started = time.time()
        super()._save(dev)
        self.waits.append(time.time() - started)


class Clock(HeldDataset):
    """Notes when the trainer asks for the first batch of each update."""

    def __init__(self, dataset: SpeechDataset, micro_batches_per_update: int) -> None:
        super().__init__(dataset)
        self.micro_batches = micro_batches_per_update
        self.times: list[float] = []

    def hand_out(self, batches: Sequence[Batch]) -> Iterator[Batch]:
        for number, batch in enumerate(batches):
            if number % self.micro_batches == 0:
                self.times.append(time.time())
            yield batch


def measure_checkpoints(repeats: int) -> Iterator[Row]:
    """What checkpoints cost, while there is a core that is idle, and while there is none."""
    for saving in SAVINGS:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            yield from cost_of_checkpoints(saving, repeats, f"{saving.name}, {threads} of 2 cores busy")


def cost_of_checkpoints(saving: Saving, repeats: int, where: str) -> list[Row]:
    """Windows of updates at whose beginning a checkpoint is saved, each against the window without one after it."""
    period = 2 * saving.window
    config = experiment(
        saving.name, *STEADY, *saving.settings, "batch.speed_factors=[1.0]", "model.encoder.use_dynamic_chunk=false",
        "training.max_epochs=1", f"training.checkpoint_interval={period}", f"training.keep_checkpoints={repeats + 2}",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        manifest = noise_corpus(Path(folder), [saving.seconds] * ((repeats + 1) * period * saving.utterances))
        recipe = recipe_of(config, manifest, saving.vocab_size)
        clock = Clock(recipe.dataset, config.batch.micro_batches_per_update)
        trainer = SavingTrainer(replace(recipe, dataset=clock), None, Path(folder), World(), CPU)
        trainer.run()
        # The last one is saved at the end of the epoch, after which there are no updates.
        paths = list_checkpoints(Path(folder) / "checkpoints")[:repeats]
        written = {update_of(path): path.stat().st_ctime for path in paths}
        megabytes = paths[0].stat().st_size / 1e6
    times = np.array(clock.times)
    seconds = np.diff(times)
    slowdowns, writing, losses = [], [], []
    for update, end in written.items():  # saved between times[update - 1] and times[update]
        with_saving, quiet = (
            seconds[update - 1 :][: saving.window],
            seconds[update - 1 + saving.window :][: saving.window],
        )
        usual = statistics.median(quiet)
        busy = with_saving[1:][times[update : update + saving.window - 1] < end]
        if len(busy) == saving.window - 1:
            raise SystemExit(
                f"{where}: {saving.window} updates are over before a checkpoint is written: raise `window`"
            )
        writing.append(end - times[update])
        slowdowns.append(busy.mean() / usual if len(busy) else 1.0)
        losses.append(with_saving.sum() - quiet.sum())
    usual, lost = float(np.median(seconds)), statistics.median(losses)
    share = lost / (saving.interval * usual)
    slower = f"{statistics.median(slowdowns):.2f}x for {statistics.median(writing):.2f} s ({megabytes:.0f} MB)"
    cost = f"{100 * share:+.2f} % ({lost:.2f} s; an update of {usual:.2f} s)"
    return [
        Row(f"wait of the update that saves, {where}", "none", f"{statistics.median(trainer.waits[:-1]):.2f} s", True),
        Row(f"updates while a checkpoint is written, {where}", "none", slower, True),
        Row(f"a checkpoint in {saving.interval} updates, {where}", "5 %", cost, share <= 0.05),
    ]
