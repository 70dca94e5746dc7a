"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn


@dataclass(frozen=True)
class OptimizerConfig:
    """Attributes:
    type: Adam, or AdamW with decoupled weight decay.
    lr: peak learning rate.
    betas: decay of the first and second moment.
    weight_decay: of AdamW; spares biases, norms and embeddings of positions (tensors of one dimension).
    """

    type: Literal["adam", "adamw"] = "adam"
    lr: float = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.type == "adam" and self.weight_decay:
            raise ValueError("weight_decay is adamw's; set type: adamw")


@dataclass(frozen=True)
class ScheduleConfig:
    """Attributes:
    type: `warmuplr` as WeNet's: linear to the peak, then the inverse square root of the update;
        `cosine`: linear to the peak, then half a cosine down to `final_ratio` of it at the last update.
    warmup_updates: updates to the peak.
    final_ratio: of `cosine` only.
    """

    type: Literal["warmuplr", "cosine"] = "warmuplr"
    warmup_updates: int = 25000
    final_ratio: float = 0.0

    def __post_init__(self) -> None:
        if self.warmup_updates < 1:
            raise ValueError("warmup_updates must be at least 1")


def learning_rate(config: ScheduleConfig, peak: float, update: int, total_updates: int) -> float:
    """Learning rate of update `update` (from 0); a function of its arguments alone, so it has no state to save.

    Args:
        config: shape of the schedule.
        peak: highest learning rate.
        update: number of the update.
        total_updates: updates of the whole run.
    """
    step, warmup = update + 1, config.warmup_updates
    if step <= warmup:
        return peak * step / warmup
    if config.type == "warmuplr":
        return peak * math.sqrt(warmup / step)
    progress = min((step - warmup) / max(total_updates - warmup, 1), 1.0)
    return peak * (config.final_ratio + (1 - config.final_ratio) * 0.5 * (1 + math.cos(math.pi * progress)))


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """An optimiser over all trained parameters, in the order of their names."""
    parameters = [p for _, p in model.named_parameters() if p.requires_grad]
    if config.type == "adam":
        return torch.optim.Adam(parameters, lr=config.lr, betas=config.betas, fused=True)
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, fused=True)
