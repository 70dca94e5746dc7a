"""Moving average of a model's weights during training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from wenet_lite.training.parallel import local, put


class WeightAverage:
    """Exponential moving average of all floating parameters and buffers, in float32 on the model's device.

    It begins as a copy of the model. After n updates the decay is min(decay, (1 + n) / (10 + n)), so that the first
    weights are soon forgotten. Integer buffers, which count, are copied.

    Args:
        model: on its device, with the weights to begin from.
        decay: part of the average that a late update keeps, such as 0.9999.
    """

    @torch.no_grad()
    def __init__(self, model: nn.Module, decay: float) -> None:
        state = model.state_dict()
        self._decay = decay
        self._floating = [name for name, tensor in state.items() if tensor.is_floating_point()]
        self._average = {name: tensor.clone() for name, tensor in state.items()}
        self._average.update({name: state[name].to(torch.float32, copy=True) for name in self._floating})
        self._num_updates = torch.zeros((), dtype=torch.int64, device=state[self._floating[0]].device)

    @torch.no_grad()
    def update(self, model: nn.Module, skip: Tensor) -> None:
        """Take in the model's weights after an update, without waiting for the device.

        Args:
            model: the model that is averaged.
            skip: () bool, on the model's device; true if the update was not applied; the average stays as it is.
        """
        state = model.state_dict()
        # 1 - (1 + n) / (10 + n) is 9 / (10 + n).
        weight = (9 / (10 + self._num_updates)).clamp(min=1 - self._decay) * ~skip
        averages = [local(self._average[name]) for name in self._floating]
        changes = torch._foreach_sub([local(state[name]).float() for name in self._floating], averages)
        torch._foreach_mul_(changes, weight)
        torch._foreach_add_(averages, changes)
        for name in state.keys() - set(self._floating):
            self._average[name].copy_(state[name])
        self._num_updates += ~skip

    @contextmanager
    def applied_to(self, model: nn.Module) -> Iterator[None]:
        """Within the context the model has the averaged weights; after it, its own again, bit for bit."""
        own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        try:
            _copy(self._average, model.state_dict())
            yield
        finally:
            _copy(own, model.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """`model`: the average, with the names of the model's own state_dict; `num_updates`: what it has seen."""
        return {"model": self._average, "num_updates": self._num_updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave for the same model."""
        for name, tensor in self._average.items():
            put(tensor, state["model"][name])
        self._num_updates.copy_(state["num_updates"])


@torch.no_grad()
def _copy(source: dict[str, Tensor], target: dict[str, Tensor]) -> None:
    for name, tensor in target.items():
        tensor.copy_(source[name])
