"""Averaging of the weights of several checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor

from wenet_lite.errors import CheckpointError
from wenet_lite.training.checkpoint import dev_loss_of, list_checkpoints, load_checkpoint

_LOG = logging.getLogger(__name__)


def choose_checkpoints(folder: Path, num: int, mode: Literal["best", "last"]) -> list[Path]:
    """The `num` checkpoints with the lowest dev loss, or the newest ones.

    Only checkpoints at the end of an epoch have a dev loss.

    Raises:
        CheckpointError: if there are fewer.
    """
    losses = {path: dev_loss_of(path) for path in list_checkpoints(folder)}
    measured = [path for path, loss in losses.items() if loss is not None]
    if mode == "best":
        measured.sort(key=lambda path: losses[path] or 0.0)
        chosen = measured[:num]
    else:
        chosen = measured[-num:]
    if len(chosen) < num:
        raise CheckpointError(
            f"has {len(chosen)} checkpoints at the end of an epoch, {num} are to be averaged",
            path=folder,
            cure="train longer (stage 4), lower the number, or raise training.keep_best",
        )
    for path in chosen:
        _LOG.info("%s: dev loss %.4f", path.name, losses[path])
    return chosen


def average_checkpoints(paths: Sequence[Path]) -> dict[str, Tensor]:
    """Mean of every floating tensor, computed in float64; counters are the newest checkpoint's.

    Returns:
        a state_dict.
    Raises:
        CheckpointError: if the checkpoints do not have the same tensors.
    """
    sums: dict[str, Tensor] = {}
    newest: dict[str, Tensor] = {}
    for path in sorted(paths):
        newest = load_checkpoint(path).model
        if sums and newest.keys() != sums.keys():
            raise CheckpointError("holds other tensors than the checkpoint before", path=path)
        for name, tensor in newest.items():
            sums[name] = sums[name] + tensor.double() if name in sums else tensor.double()
    return {
        name: (sums[name] / len(paths)).to(tensor.dtype) if tensor.is_floating_point() else tensor
        for name, tensor in newest.items()
    }
