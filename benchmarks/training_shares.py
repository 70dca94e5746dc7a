"""Where the time of training goes: data, front end, forward, backward, optimiser, communication."""

from __future__ import annotations

import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from training_workload import STEADY, experiment, recipe_of

from wenet_lite.data.dataset import Batch, SpeechDataset
from wenet_lite.data.manifest import read_manifest
from wenet_lite.distributed import process_group
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.training import forward_pass as forward_pass_module
from wenet_lite.training.trainer import Trainer

PARTS = ("data", "front end", "forward", "backward", "optimiser", "communication", "rest")
WARM_UP = 5
"""Updates that do not count."""
UNITS = 31


class Stopwatch:
    """Seconds of each part of the work; a part within another one is taken out of that."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._open = ["rest"]
        self._since = time.perf_counter()

    def restart(self) -> None:
        """Forget what was measured."""
        self.seconds.clear()
        self._since = time.perf_counter()

    def charge(self) -> None:
        """The time since the last call belongs to the innermost part."""
        now = time.perf_counter()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self.charge()
        self._open.append(name)
        try:
            yield
        finally:
            self.charge()
            self._open.pop()

    def around(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The function, its time charged to a part."""

        def timed(*args: Any, **options: Any) -> Any:
            with self.part(name):
                return function(*args, **options)

        return timed


class WatchedDataset(SpeechDataset):
    """Charges the wait for each batch to `data`; measures from the end of the warm-up on, and counts the audio."""

    def __init__(self, dataset: SpeechDataset, watch: Stopwatch, warm_up: int) -> None:
        super().__init__(dataset.manifest, dataset.encode, dataset.sample_rate, dataset.augmenter)
        self.watch, self.left, self.samples = watch, warm_up, 0

    def load(self, *args: Any, **options: Any) -> Iterable[Batch]:
        batches = iter(super().load(*args, **options))
        while True:
            if self.left == 0:
                self.watch.restart()
                self.samples = 0
            self.left -= 1
            with self.watch.part("data"):
                batch = next(batches)
            self.samples += int(batch.num_samples.sum())
            yield batch


class EndOfTraining:
    """Takes the validator's place: what comes after the last update is not measured."""

    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch

    def measure(self, model: torch.nn.Module, **_: object) -> tuple[dict[str, float], list[Any]]:
        self.watch.charge()
        self.result = dict(self.watch.seconds)
        return {"loss": 0.0, "wer": 0.0}, []


def train(rank: int, processes: int, port: int, name: str, data_list: Path, updates: int) -> dict[str, float]:
    """In a process of its own, of one thread: seconds of each part, and seconds of `audio`, of one rank."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes))
    os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    watch, device = Stopwatch(), torch.device("cpu")
    config = experiment(name, *STEADY, f"training.max_updates={WARM_UP + updates}")
    with process_group(device) as world, tempfile.TemporaryDirectory() as folder:
        recipe = recipe_of(config, read_manifest(data_list), UNITS)
        share = config.batch.micro_batches_per_update // world.size
        dataset = WatchedDataset(recipe.dataset, watch, WARM_UP * share)
        end: Any = EndOfTraining(watch)
        trainer = Trainer(replace(recipe, dataset=dataset, validator=end), None, Path(folder), world, device)
        with watched(trainer, watch):
            trainer.run()
    return {**end.result, "audio": dataset.samples / SAMPLE_RATE}


@contextmanager
def watched(trainer: Trainer, watch: Stopwatch) -> Iterator[None]:
    """Charge the trainer's parts."""
    places: tuple[tuple[object, str, str], ...] = (
        (trainer.recipe.fbank, "forward", "front end"),
        (forward_pass_module, "spec_augment", "front end"),
        (trainer.model, "forward", "forward"),
        (torch.Tensor, "backward", "backward"),
        (trainer.stepper, "step", "optimiser"),
        (trainer.parallel, "reduce", "communication"),
        (trainer.wishes, "exchange", "communication"),
        (torch.distributed, "all_reduce", "communication"),
    )
    patches = [mock.patch.object(owner, name, watch.around(getattr(owner, name), part)) for owner, name, part in places]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in reversed(patches):
            patch.stop()


def run(processes: int, name: str, data_list: Path, updates: int) -> dict[str, float]:
    """Seconds of each part in the mean over the ranks, and of the `audio` of all of them."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        ranks = range(processes)
        found = list(
            pool.map(train, ranks, *([value] * len(ranks) for value in (processes, port, name, data_list, updates)))
        )
    total = sum(map(Counter, found), Counter())
    return {part: total[part] / (1 if part == "audio" else processes) for part in (*PARTS, "audio")}


def line(name: str, processes: int, runs: list[Mapping[str, float]]) -> str:
    """A line of the table: medians over the runs."""
    shares, speeds = [], []
    for seconds in runs:
        whole = sum(seconds[part] for part in PARTS)
        speeds.append(seconds["audio"] / whole)
        shares.append([100 * seconds[part] / whole for part in PARTS])
    cells = [f"{statistics.median(column):.1f} %" for column in zip(*shares)]
    return f"| {name} | {processes} | {statistics.median(speeds):.0f} | {' | '.join(cells)} |"


def print_shares(data_list: Path, repeats: int, updates: int = 25) -> None:
    """A table of two configurations, by number of processes, which take turns; each has one thread."""
    print(f"| configuration | processes | s of audio a second | {' | '.join(PARTS)} |")
    print("|---" * (3 + len(PARTS)) + "|")
    for name in ("smoke", "mini"):
        candidates = (1, 2)
        runs: dict[int, list[Mapping[str, float]]] = {processes: [] for processes in candidates}
        for _ in range(repeats):
            for processes in candidates:
                runs[processes].append(run(processes, name, data_list, updates))
        for processes in candidates:
            print(line(name, processes, runs[processes]), flush=True)
