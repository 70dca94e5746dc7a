"""Training checkpoints: one atomic file with all that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import logging
import math
import os
import re
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from wenet_lite.errors import CheckpointError
from wenet_lite.model.weights import load_tensors, save_atomically

_LOG = logging.getLogger(__name__)

SCHEMA = 3
_NAME = re.compile(r"step_(\d{8})\.pt")


@dataclass(frozen=True)
class Checkpoint:
    """Attributes:
    update: updates done.
    epoch: epoch of the next update.
    update_in_epoch: updates of that epoch already done.
    unreadable: ids of that epoch's utterances that could not be read.
    model: its state_dict.
    optimizer: moments by the name of their parameter.
    stepper: the loss scale; empty where losses are not scaled.
    average: moving average of the weights; empty where none is kept.
    config: resolved configuration of the run, as plain mappings.
    data: fingerprint of the training data.
    seconds: of training so far.
    history: dev results of all epochs so far, oldest first.
    dev: dev results at this update, if they were measured here.
    """

    update: int
    epoch: int
    update_in_epoch: int
    unreadable: list[str]
    model: dict[str, Any]
    optimizer: dict[str, Any]
    stepper: dict[str, Any]
    average: dict[str, Any]
    config: dict[str, Any]
    data: str
    seconds: float
    history: list[dict[str, float]]
    dev: dict[str, float] | None


def checkpoint_path(folder: Path, update: int) -> Path:
    """`step_<updates>.pt` in `folder`."""
    return folder / f"step_{update:08d}.pt"


def order(result: float) -> float:
    """A dev result as it is compared, the lower the better; what is not a number is the worst."""
    return math.inf if math.isnan(result) else result


def update_of(path: Path) -> int:
    """Updates done at the checkpoint with this name."""
    return int(path.stem.removeprefix("step_"))


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> Path:
    """Write a checkpoint: to a temporary name, flushed to the disk, then renamed."""
    path = checkpoint_path(folder, checkpoint.update)
    save_atomically({"schema": SCHEMA, **vars(checkpoint)}, path)
    return path


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read what `save_checkpoint` wrote, and verify its checksums.

    Raises:
        CheckpointError: if the file is torn, damaged or of another schema.
    """
    _verify(Path(path))
    tree = load_tensors(path)
    _check_schema(tree, path)
    return Checkpoint(**tree)


def _verify(path: Path) -> None:
    """Compare the checksums that torch has written, which it does not look at itself."""
    if not path.is_file():
        raise CheckpointError("no such checkpoint", path=path)
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # damage in a header can be anything
        raise CheckpointError("is torn or not a checkpoint", path=path) from error
    if damaged is not None:
        raise CheckpointError(f"is damaged: {damaged} has another checksum", path=path)


def _check_schema(tree: Any, path: str | os.PathLike[str]) -> None:
    schema = tree.pop("schema", None) if isinstance(tree, dict) else None
    if schema is None:
        raise CheckpointError("is not a training checkpoint", path=path)
    if schema != SCHEMA or tree.keys() != {field.name for field in fields(Checkpoint)}:
        raise CheckpointError(
            f"is a training checkpoint of schema {schema}, this version reads {SCHEMA}",
            path=path,
            cure="go on with the version that wrote it, or start from its weights by --init-from",
        )


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a run, oldest first."""
    return sorted(path for path in folder.glob("step_*.pt") if _NAME.fullmatch(path.name))


def load_latest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that can be read, None where there is none; one that cannot is named and passed over.

    Raises:
        CheckpointError: if there are checkpoints, but none can be read.
    """
    paths = list_checkpoints(folder)
    for path in reversed(paths):
        try:
            return load_checkpoint(path)
        except CheckpointError as error:
            _LOG.warning("%s; trying the one before", error)
    if paths:
        raise CheckpointError("none of the checkpoints can be read", path=folder, cure="move them away to start anew")
    return None


def dev_of(path: Path) -> dict[str, float] | None:
    """Dev results kept in a checkpoint, without reading its tensors."""
    tree = load_tensors(path, mmap=True)
    _check_schema(tree, path)
    dev: dict[str, float] | None = tree["dev"]
    return dev
