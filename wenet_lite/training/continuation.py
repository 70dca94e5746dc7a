"""Going on where a run has stopped, if it is still the same run."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from wenet_lite.config import differences
from wenet_lite.data.batch_plan import BatchPlan
from wenet_lite.distributed import World, gather_objects
from wenet_lite.errors import CheckpointError, ConfigError
from wenet_lite.model.architecture import refuse_other_architecture
from wenet_lite.text.tokenizer import load_tokenizer
from wenet_lite.training.checkpoint import Checkpoint, checkpoint_path, load_checkpoint, load_latest
from wenet_lite.training.training_config import FREE_TO_CHANGE, SETS_THE_END

_LOG = logging.getLogger(__name__)


def fingerprint(plan: BatchPlan) -> str:
    """SHA-256 of what a plan knows of its utterances: number, order, lengths, what their texts need, and weights."""
    digest = hashlib.sha256()
    for values in (plan.num_frames, plan.min_frames, plan.kept):
        digest.update(values.astype("<i8").tobytes())
    digest.update(f"{list(plan.list_starts)} {list(plan.weights)}".encode())
    return digest.hexdigest()


def load_continuation(
    folder: Path,
    resolved: Mapping[str, Any],
    data: str,
    *,
    lang_dir: Path,
    with_defaults: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    allow_change: bool,
    world: World,
) -> Checkpoint | None:
    """The newest checkpoint of a run, None where it has none.

    Args:
        folder: its `checkpoints/`.
        resolved: configuration of the run that is to go on.
        data: fingerprint of its training data.
        lang_dir: holds its units, which must be those of the run so far; the folder above `checkpoints/` has copies.
        with_defaults: gives a configuration the settings that are newer than it.
        allow_change: go on although one of them is another than it was.
        world: this process among the ranks; the main one tells.
    Raises:
        ConfigError: if configuration, data or units have changed, or are not the same on all ranks.
        CheckpointError: if the model is another, or the optimiser's moments are, or no checkpoint can be read.
    """
    _check_agreement(resolved, data, world)
    checkpoint = load_latest(folder) if world.is_main else None
    update = gather_objects(checkpoint.update if checkpoint else None, world)[0]  # what the main rank has found
    if update is None:
        return None
    if checkpoint is None:
        checkpoint = load_checkpoint(checkpoint_path(folder, update))
    _refuse_other_units(lang_dir, folder.parent)
    changes = differences(with_defaults(checkpoint.config), resolved)
    refuse_other_architecture(changes, folder)
    _refuse_other_moments(changes, folder)
    if data != checkpoint.data:
        changes.append("the training data: utterances or transcripts are not those of the list as it was")
    free = set(FREE_TO_CHANGE) - SETS_THE_END.get(resolved["training"]["schedule"]["type"], set())
    serious = [change for change in changes if change.split(":", 1)[0] not in free]
    if serious and not allow_change:
        raise ConfigError(
            f"the run has changed since its last checkpoint: {'; '.join(serious)}",
            path=folder,
            cure="undo that, train into another --exp-dir, or go on all the same with --allow-config-change",
        )
    if world.is_main:
        for change in changes:
            _LOG.warning("the run has changed since its last checkpoint: %s", change)
    return checkpoint


def _refuse_other_units(lang_dir: Path, run: Path) -> None:
    """Rows of the weights belong to units, which a checkpoint does not tell; the run's copies do."""
    if (run / "units.txt").exists() and not load_tokenizer(lang_dir).writes_like(load_tokenizer(run)):
        raise ConfigError(
            f"units or BPE model are not those of {run}, which is to go on",
            path=lang_dir,
            cure="give the lang directory it was begun with, or train into another --exp-dir, with --init-from",
        )


def _refuse_other_moments(changes: Iterable[str], folder: Path) -> None:
    """Adam and AdamW go on with each other's moments; NovoGrad has one number a tensor in place of the second."""
    for change in changes:
        if change.startswith("training.optimizer.type:") and "novograd" in change:
            cure = "train into another --exp-dir, with --init-from"
            raise CheckpointError(f"has the moments of another optimiser: {change}", path=folder, cure=cure)


def _check_agreement(resolved: Mapping[str, Any], data: str, world: World) -> None:
    everyone = gather_objects((dict(resolved), data), world)
    theirs, their_data = everyone[0]
    others = {change for config, _ in everyone for change in differences(theirs, config)}
    others |= {"training data" for _, of_rank in everyone if of_rank != their_data}
    if others:
        raise ConfigError(
            f"ranks do not agree: {'; '.join(sorted(others))}", cure="give the same command and files on every host"
        )
