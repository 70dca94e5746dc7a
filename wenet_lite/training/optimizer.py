"""Optimisers, and which parameters they train at which learning rate."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import nn

from wenet_lite.errors import ConfigError


@dataclass(frozen=True)
class OptimizerConfig:
    """Patterns are the shell's, over names of parameters: `encoder.*`, `*.norm_conv.*`, `encoder.encoders.[0-5].*`.

    Attributes:
        type: Adam; AdamW, with decoupled weight decay; or NovoGrad (arXiv 1905.11286), which normalises the gradient of
            each tensor by its norm.
        lr: peak learning rate.
        betas: decay of the first and second moment; NovoGrad's authors take (0.95, 0.98).
        eps: what is added to the root of the second moment.
        weight_decay: of AdamW and NovoGrad; spares tensors of one dimension, which are biases and norms.
        lr_factors: pattern -> factor of the learning rate; of several that match, the last counts.
        freeze: patterns of parameters that are not trained.
    """

    type: Literal["adam", "adamw", "novograd"] = "adam"
    lr: float = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    lr_factors: dict[str, float] = field(default_factory=dict)
    freeze: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.lr < math.inf:
            raise ValueError("lr must be above 0 and finite")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError("betas must be at least 0 and less than 1")
        if min(self.eps, self.weight_decay) < 0:
            raise ValueError("eps and weight_decay must not be negative")
        if self.type == "adam" and self.weight_decay:
            raise ValueError("adam has no weight_decay; set type: adamw")
        for pattern, factor in self.lr_factors.items():
            if factor <= 0:
                raise ValueError(
                    f"the lr_factor of '{pattern}' must be above 0; list in freeze what is not to be trained"
                )


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Exclude parameters from training; to be called before `build_optimizer`.

    Batch norms among them keep their running statistics if `batch_norms.set_training_mode` puts the model in training.

    Raises:
        ConfigError: if a pattern matches nothing, or no parameter is left to train.
    """
    for pattern in patterns:
        for name in _matching(model, pattern):
            model.get_parameter(name).requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError("training.optimizer.freeze leaves no parameter to train")


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """An optimiser over all trained parameters, in the order of the model.

    Each of its groups has an `lr_factor`, which `set_learning_rate` applies.

    Raises:
        ConfigError: if a pattern of `lr_factors` matches nothing, or the optimiser's package is missing.
    """
    factors = {name: factor for pattern, factor in config.lr_factors.items() for name in _matching(model, pattern)}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            weight_decay = config.weight_decay if parameter.dim() > 1 else 0.0
            groups.setdefault((factors.get(name, 1.0), weight_decay), []).append(parameter)
    options: list[dict[str, Any]] = [
        {"params": parameters, "lr_factor": lr_factor, "weight_decay": weight_decay}
        for (lr_factor, weight_decay), parameters in groups.items()
    ]
    optimizer = _of_type(config, options)
    set_learning_rate(optimizer, config.lr)
    return optimizer


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group: `rate` times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_factor"]


def _of_type(config: OptimizerConfig, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    if config.type == "adam":
        return torch.optim.Adam(groups, betas=config.betas, eps=config.eps, fused=True)
    if config.type == "adamw":
        return torch.optim.AdamW(groups, betas=config.betas, eps=config.eps, fused=True)
    try:
        from pytorch_optimizer import NovoGrad
    except ImportError as error:
        raise ConfigError(
            "training.optimizer.type novograd needs the package pytorch_optimizer",
            cure="pip install pytorch_optimizer==4.1.0",
        ) from error
    return NovoGrad(groups, betas=config.betas, eps=config.eps)


def _matching(model: nn.Module, pattern: str) -> list[str]:
    """Names of the parameters that match a pattern, of which there must be one."""
    names = [name for name, _ in model.named_parameters()]
    matching = [name for name in names if fnmatchcase(name, pattern)]
    if not matching:
        modules = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 1)}
        nearest = difflib.get_close_matches(pattern, sorted(f"{module}.*" for module in modules), n=3, cutoff=0.0)
        raise ConfigError(
            f"training.optimizer: no parameter matches '{pattern}'", cure=f"nearest: {', '.join(nearest)}"
        )
    return matching
