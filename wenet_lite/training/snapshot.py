"""All tensors of a run, out of its ranks into a checkpoint and back."""

from __future__ import annotations

from typing import Any

import torch

from wenet_lite.distributed import World
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.training.checkpoint import Checkpoint
from wenet_lite.training.parallel import load_optimizer_state, optimizer_state, put, whole_on_cpu
from wenet_lite.training.step import Stepper
from wenet_lite.training.weight_average import WeightAverage


def snapshot(model: AsrModel, stepper: Stepper, average: WeightAverage | None, world: World) -> dict[str, Any]:
    """Copies on the CPU of the main rank; every rank takes part.

    Returns:
        `model`, `optimizer`, `stepper` and `average` of a `Checkpoint`.
    """
    state = model.state_dict()  # shares its tensors out again where they had been gathered
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    tree = {
        "model": state,
        "optimizer": optimizer_state(stepper.optimizer, names),
        "stepper": stepper.state(),
        "average": average.state_dict() if average is not None else {},
    }
    return whole_on_cpu(tree, world)


def restore(checkpoint: Checkpoint, model: AsrModel, stepper: Stepper, average: WeightAverage | None) -> None:
    """Put a checkpoint's tensors into place, on every rank; a moving average that it lacks begins at its weights."""
    for name, tensor in model.state_dict().items():
        put(tensor, checkpoint.model[name])
    load_optimizer_state(stepper.optimizer, model.named_parameters(), checkpoint.optimizer)
    stepper.load_state(checkpoint.stepper)
    if average is not None:
        begun = {"model": checkpoint.model, "num_updates": torch.tensor(checkpoint.update)}
        average.load_state_dict(checkpoint.average or begun)
