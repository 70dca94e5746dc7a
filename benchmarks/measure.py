"""What the benchmarks have in common: candidates that take turns, and rows of a table."""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

TABLE_HEAD = "| what | goal | seen | reached |\n|---|---|---|---|"


@dataclass(frozen=True)
class Row:
    """A line of the table: what was measured, its goal, what was seen, and whether that is good enough."""

    subject: str
    goal: str
    seen: str
    good: bool

    def __str__(self) -> str:
        return f"| {self.subject} | {self.goal} | {self.seen} | {'yes' if self.good else 'NO'} |"


def alternate(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each candidate; they take turns, after a turn that does not count."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name, candidate in candidates.items():
            started = time.perf_counter()
            candidate()
            if number:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def machine_line(*packages: str) -> str:
    """What a table was measured on: the machine, what else it had to do, versions of torch and of `packages`."""
    versions = [f"torch {torch.__version__}", *(f"{name} {importlib.metadata.version(name)}" for name in packages)]
    machine = platform.processor() or platform.machine()
    return f"{machine}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {', '.join(versions)}"


def print_rows(rows: Iterable[Row]) -> bool:
    """Print a table as it is measured; whether all is good enough."""
    print(f"\n{TABLE_HEAD}")
    good = True
    for row in rows:
        print(row, flush=True)
        good = good and row.good
    return good


def seconds_and_bytes(work: Callable[..., object], *arguments: object) -> tuple[float, float]:
    """What work takes in a process of its own: time, and the peak of memory above what it began with."""
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[tuple[float, float]] = context.Queue()
    process = context.Process(target=_measured, args=(queue, work, *arguments))
    process.start()
    found = queue.get()
    process.join()
    return found


def _measured(queue: multiprocessing.Queue[tuple[float, float]], work: Callable[..., object], *arguments: Any) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    work(*arguments)
    seconds = time.perf_counter() - began
    queue.put((seconds, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)))


def resident(key: str) -> float:
    """Resident memory of this process, MB: now (VmRSS), or at its peak (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


def apart(function: Callable[..., float], *args: object) -> float:
    """What `function` returns in a process of its own that maps each larger tensor."""
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(128 * 1024)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *args).result()
