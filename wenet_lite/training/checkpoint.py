"""Training checkpoints: one atomic file with all that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wenet_lite.errors import CheckpointError
from wenet_lite.model.weights import load_tensors, save_atomically

_LOG = logging.getLogger(__name__)

SCHEMA = 1
_NAME = re.compile(r"step_(\d{8})\.pt")


@dataclass(frozen=True)
class Checkpoint:
    """Attributes:
    update: updates done.
    epoch: epoch of the next update.
    update_in_epoch: updates of that epoch already done.
    model, optimizer: their state_dict.
    config: resolved configuration of the run, as plain mappings.
    dev_loss: loss on the dev set at this update, if it was measured there.
    """

    update: int
    epoch: int
    update_in_epoch: int
    model: dict[str, Any]
    optimizer: dict[str, Any]
    config: dict[str, Any]
    dev_loss: float | None


def checkpoint_path(folder: Path, update: int) -> Path:
    """`step_<updates>.pt` in `folder`."""
    return folder / f"step_{update:08d}.pt"


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write a checkpoint: to a temporary name, flushed to the disk, then renamed."""
    path = checkpoint_path(folder, checkpoint.update)
    save_atomically({"schema": SCHEMA, **vars(checkpoint)}, path)
    return path


def load_checkpoint(path: str | os.PathLike[str], *, mmap: bool = False) -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Args:
        path: the file.
        mmap: read a tensor from the disk only when it is used.
    Raises:
        CheckpointError: if the file is torn or of another schema.
    """
    tree = load_tensors(path, mmap=mmap)
    if not isinstance(tree, dict) or tree.pop("schema", None) != SCHEMA:
        raise CheckpointError(f"is not a training checkpoint of schema {SCHEMA}", path=path)
    return Checkpoint(**tree)


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a run, oldest first."""
    return sorted(path for path in folder.glob("step_*.pt") if _NAME.fullmatch(path.name))


def load_latest(folder: Path, *, mmap: bool = False) -> Checkpoint | None:
    """The newest checkpoint that can be read; a torn one is named and passed over. `mmap` as in `load_checkpoint`."""
    for path in reversed(list_checkpoints(folder)):
        try:
            return load_checkpoint(path, mmap=mmap)
        except CheckpointError as error:
            _LOG.warning("%s; trying the one before", error)
    return None


def dev_loss_of(path: Path) -> float | None:
    """Dev loss kept in a checkpoint, without reading its tensors."""
    value = load_tensors(path, mmap=True).get("dev_loss")
    return None if value is None else float(value)
