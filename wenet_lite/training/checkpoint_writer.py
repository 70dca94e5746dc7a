"""Writes a run's checkpoints in the background, and removes those that are not kept."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal

from wenet_lite.errors import CheckpointError
from wenet_lite.training.checkpoint import (
    Checkpoint,
    checkpoint_path,
    dev_of,
    list_checkpoints,
    order,
    save_checkpoint,
    update_of,
)


class CheckpointWriter:
    """One checkpoint is written at a time; what goes wrong with it is raised when the next one comes, or at the end.

    Args:
        folder: of the checkpoints; leftovers of a killed run are removed from it.
        update: that the run goes on from.
        keep_newest: newest checkpoints kept.
        keep_best: checkpoints with the best dev results kept besides.
        best_by: the dev result that tells the best, the lower the better.
    """

    def __init__(
        self, folder: Path, update: int, keep_newest: int, keep_best: int, best_by: Literal["loss", "wer"]
    ) -> None:
        self._folder, self._keep_newest, self._keep_best, self._best_by = folder, keep_newest, keep_best, best_by
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob("*.tmp"):
            leftover.unlink()
        self._results = _dev_results(folder, update)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def write(self, checkpoint: Checkpoint) -> None:
        """Begin to write a checkpoint; its tensors are not to be changed any more."""
        self.wait()
        self._writing = self._thread.submit(self._write, checkpoint)

    def wait(self) -> None:
        """Until the newest checkpoint is on the disk.

        Raises:
            OSError: if it could not be written.
        """
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def close(self) -> None:
        """Finish what is being written."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()

    def _write(self, checkpoint: Checkpoint) -> None:
        save_checkpoint(checkpoint, self._folder)
        self._results[checkpoint_path(self._folder, checkpoint.update)] = checkpoint.dev
        newest = sorted(self._results)[-self._keep_newest :]
        measured = {path: order(dev[self._best_by]) for path, dev in self._results.items() if dev is not None}
        best = sorted(measured, key=measured.__getitem__)[: self._keep_best]
        for path in self._results.keys() - {*newest, *best}:
            path.unlink(missing_ok=True)
            del self._results[path]


def _dev_results(folder: Path, update: int) -> dict[Path, dict[str, float] | None]:
    """Of the checkpoints up to an update; newer ones, and such as cannot be read, take no place of a good one."""
    results = {}
    for path in list_checkpoints(folder):
        if update_of(path) <= update:
            with suppress(CheckpointError):
                results[path] = dev_of(path)
    return results
