"""Averaging of the weights of several checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor

from wenet_lite.errors import CheckpointError
from wenet_lite.training.checkpoint import dev_of, list_checkpoints, load_checkpoint, load_latest, order, update_of

_LOG = logging.getLogger(__name__)


def choose_checkpoints(
    folder: Path,
    num: int,
    mode: Literal["best", "last"],
    by: Literal["loss", "wer"] = "loss",
    updates: tuple[int, int] | None = None,
) -> list[Path]:
    """The `num` checkpoints with the best dev results, or the newest ones.

    Only checkpoints at which the dev set was measured count: those at the end of an epoch, or of the run.

    Args:
        folder: `checkpoints/` of a run.
        num: how many.
        mode: the best, or the newest.
        by: the dev result that tells the best, the lower the better.
        updates: the first and the last update that count, or None for all.
    Raises:
        CheckpointError: if there are fewer.
    """
    results = {}
    for path in list_checkpoints(folder):
        dev = dev_of(path)
        if dev is not None and (updates is None or updates[0] <= update_of(path) <= updates[1]):
            results[path] = order(dev[by])
    measured = sorted(results, key=results.__getitem__) if mode == "best" else list(results)[::-1]
    chosen = measured[:num]
    if len(chosen) < num:
        raise CheckpointError(
            f"has {len(chosen)} checkpoints at the end of an epoch{' in that range' if updates else ''}, {num} are to "
            "be averaged",
            path=folder,
            cure="train longer (stage 4), lower the number, or raise training.keep_best",
        )
    for path in chosen:
        _LOG.info("%s: dev %s %.4f", path.name, by, results[path])
    return chosen


def moving_average(folder: Path) -> dict[str, Tensor]:
    """The moving average of the weights that the newest checkpoint of a run holds; a state_dict.

    Raises:
        CheckpointError: if there is none.
    """
    checkpoint = load_latest(folder)
    if checkpoint is None or not checkpoint.average:
        raise CheckpointError("has no moving average", path=folder, cure="train with training.ema_decay, such as 0.999")
    own, average = checkpoint.model, checkpoint.average["model"]
    return {name: average[name].to(own[name].dtype) for name in own}


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
