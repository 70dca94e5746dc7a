"""A trace of a few updates, for chrome://tracing or Perfetto."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from wenet_lite.distributed import World

_LOG = logging.getLogger(__name__)
_WARM_UP = 3


class Profiler:
    """Profiles updates of the main rank, after a few that warm up.

    Args:
        folder: receives `trace.json` and `operators.txt`.
        num_updates: to profile; 0 for none.
        world: this process among the ranks.
    """

    def __init__(self, folder: Path, num_updates: int, world: World) -> None:
        self._folder = folder
        self._profile: torch.profiler.profile | None = None
        if num_updates and world.is_main:
            schedule = torch.profiler.schedule(wait=1, warmup=_WARM_UP - 1, active=num_updates, repeat=1)
            self._profile = torch.profiler.profile(schedule=schedule, on_trace_ready=self._write)
            self._profile.start()

    def step(self) -> None:
        """An update is done."""
        if self._profile is not None:
            self._profile.step()

    def close(self) -> None:
        """End a profile that the run was too short for."""
        if self._profile is not None:
            self._profile.stop()

    def _write(self, profile: torch.profiler.profile) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        profile.export_chrome_trace(str(self._folder / "trace.json"))
        order = "cuda_time_total" if torch.cuda.is_available() else "cpu_time_total"
        (self._folder / "operators.txt").write_text(profile.key_averages().table(sort_by=order, row_limit=40))
        _LOG.info("profile of the updates: %s", self._folder / "trace.json")
