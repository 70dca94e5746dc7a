"""How the ranks of a run hold a model, and how their gradients come together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from wenet_lite.distributed import World, sum_over_ranks
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.decoder import DecoderLayer
from wenet_lite.model.encoder_layer import ConformerLayer, TransformerLayer


class Parallel(Protocol):
    """One way to train on several ranks.

    Attributes:
        in_step: whether every rank must run as many forward and backward passes as the others.
    """

    in_step: bool

    def prepare(self, model: AsrModel, device: torch.device) -> None:
        """Put the model on its device, before an optimiser is built over its parameters."""

    def reduce(self, gradients: list[Tensor]) -> None:
        """After the last backward pass of an update: replace gradients by their sums over all ranks."""


class Replicated:
    """Each rank holds the whole model; gradients travel as one flat tensor after the last backward pass of an update.

    torch's DistributedDataParallel cuts its buckets anew after the first step of a process, so that sums over three or
    more ranks, and with them the weights of a resumed run, differ in their last bits. One flat sum does not.
    """

    in_step = False

    def __init__(self, world: World) -> None:
        self._world = world

    def prepare(self, model: AsrModel, device: torch.device) -> None:
        """Move the whole model."""
        model.to(device)

    def reduce(self, gradients: list[Tensor]) -> None:
        """Sum over ranks."""
        if self._world.size > 1:
            sum_over_ranks(gradients)


class FullySharded:
    """Each rank holds a part of every tensor (FSDP2); a layer's tensors are gathered while it is computed."""

    in_step = True

    def __init__(self, world: World) -> None:
        self._world = world

    def prepare(self, model: AsrModel, device: torch.device) -> None:
        """Move and share out the model's parameters, layer by layer: the device never holds all of them."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

        mesh = init_device_mesh(device.type, (self._world.size,))
        for layer in layers_of(model):
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
        for method in ("consistent_losses", "losses_and_posteriors"):
            register_fsdp_forward_method(model, method)
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.set_gradient_divide_factor(1.0)  # a sum, as on replicated ranks
                module.set_force_sum_reduction_for_comms(True)

    def reduce(self, gradients: list[Tensor]) -> None:
        """Nothing to do: the backward passes have summed them."""


def build_parallel(kind: Literal["ddp", "fsdp"], world: World) -> Parallel:
    """The way that a configuration names; alone there is nothing to share out."""
    return FullySharded(world) if kind == "fsdp" and world.size > 1 else Replicated(world)


def layers_of(model: AsrModel) -> list[nn.Module]:
    """The layers of encoder and decoders, which are sharded and compiled one by one."""
    return [
        module for module in model.modules() if isinstance(module, ConformerLayer | TransformerLayer | DecoderLayer)
    ]


def local(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """A tensor from all its parts; every rank must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_on_cpu(tree: Mapping[str, Any], world: World) -> dict[str, Any]:
    """Copies of a tree's tensors, whole, on the CPU of the main rank; other ranks take part and get nothing."""
    copy: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            copy[key] = whole_on_cpu(value, world)
        elif isinstance(value, Tensor):
            found = whole(value.detach())
            copy[key] = found.to("cpu", copy=True) if world.is_main else None
        else:
            copy[key] = value
    return copy


def put(target: Tensor, value: Tensor) -> None:
    """Copy a whole tensor into one that may be shared out; every rank must do so."""
    if isinstance(target, DTensor):
        target.copy_(distribute_tensor(value.to(target.device), target.device_mesh, target.placements))
    else:
        target.copy_(value)


def optimizer_state(optimizer: torch.optim.Optimizer, names: Mapping[int, str]) -> dict[str, Any]:
    """An optimiser's moments by the name of their parameter, so that they fit however parameters are grouped.

    Args:
        optimizer: after any number of updates.
        names: of parameters, by their `id`.
    """
    return {names[id(parameter)]: dict(state) for parameter, state in optimizer.state.items()}


def load_optimizer_state(
    optimizer: torch.optim.Optimizer, parameters: Iterable[tuple[str, nn.Parameter]], states: Mapping[str, Any]
) -> None:
    """Put back what `optimizer_state` told, with whole tensors."""
    for name, parameter in parameters:
        if name not in states:
            continue
        optimizer.state[parameter] = {
            key: _as_parameter(value, parameter) if isinstance(value, Tensor) else value
            for key, value in states[name].items()
        }


def _as_parameter(value: Tensor, parameter: nn.Parameter) -> Tensor:
    """A moment laid out like its parameter; a count of steps stays a scalar, on the device where it is wanted."""
    if value.shape != parameter.shape:
        return value.to(parameter.device)
    moment = torch.zeros_like(parameter, dtype=value.dtype)
    put(moment, value)
    return moment
