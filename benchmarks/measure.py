"""What the benchmarks have in common: candidates that take turns, and rows of a table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
