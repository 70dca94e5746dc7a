"""Learning-rate schedules: pure functions of the update and of the dev losses so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rate moves; every type begins with a linear warm-up to the peak.

    Attributes:
        type: what comes after the warm-up.
            `warmuplr`: WeNet's WarmupLR, the inverse square root of the update.
            `noam_hold`: WeNet's NoamHoldAnnealing (Squeezeformer, arXiv 2206.00888): the peak for `hold_updates`, then
            the update without those to the power of -`decay_rate`.
            `cosine`: half a cosine down to `final_ratio` of the peak at the last update.
            `plateau`: constant, times `factor` whenever the dev loss stops falling, as torch's ReduceLROnPlateau.
            `constant`: the peak.
        warmup_updates: updates to the peak.
        hold_updates, decay_rate: of `noam_hold`; a rate of 0.5 is Noam's decay, 1.0 Squeezeformer's.
        final_ratio: of `cosine`.
        factor: of `plateau`; by how much the learning rate falls.
        patience: of `plateau`; dev losses in a row without improvement that are borne, the next one lowers the rate.
        threshold: of `plateau`; part of the lowest dev loss by which another must be below it to be an improvement.
        min_lr: of `noam_hold` and `plateau`; the decay ends there.
    """

    type: Literal["warmuplr", "noam_hold", "cosine", "plateau", "constant"] = "warmuplr"
    warmup_updates: int = 25000
    hold_updates: int = 0
    decay_rate: float = 0.5
    final_ratio: float = 0.0
    factor: float = 0.5
    patience: int = 2
    threshold: float = 0.0001
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        if self.warmup_updates < 1:
            raise ValueError("warmup_updates must be at least 1")
        if not 0 < self.factor < 1:
            raise ValueError("factor must be between 0 and 1")
        for name in ("hold_updates", "decay_rate", "final_ratio", "patience", "threshold", "min_lr"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")


def learning_rate(
    config: ScheduleConfig, peak: float, update: int, total_updates: int, dev_losses: Sequence[float] = ()
) -> float:
    """Learning rate of update `update` (from 0); a function of its arguments alone, so it has no state to save.

    Args:
        config: shape of the schedule.
        peak: highest learning rate.
        update: number of the update.
        total_updates: updates of the whole run.
        dev_losses: all that were measured before this update, oldest first; `plateau` alone looks at them.
    """
    step, warmup = update + 1, config.warmup_updates
    if config.type == "noam_hold":
        return _noam_hold(config, peak, update)
    if config.type == "plateau":  # the warm-up leads to the rate as the dev losses have left it
        peak = _reduced_on_plateau(config, peak, dev_losses)
    if step <= warmup:
        return peak * step / warmup
    if config.type == "warmuplr":
        return peak * math.sqrt(warmup / step)
    if config.type == "cosine":
        progress = min((step - warmup) / max(total_updates - warmup, 1), 1.0)
        return peak * (config.final_ratio + (1 - config.final_ratio) * 0.5 * (1 + math.cos(math.pi * progress)))
    return peak


def _noam_hold(config: ScheduleConfig, peak: float, update: int) -> float:
    """WeNet counts from 0 here, so its warm-up takes an update more than that of WarmupLR."""
    warmup = config.warmup_updates
    if update <= warmup:
        return peak * (update + 1) / (warmup + 1)
    without_hold = max(update - config.hold_updates, warmup)
    return max(peak * (warmup / without_hold) ** config.decay_rate, config.min_lr)


def _reduced_on_plateau(config: ScheduleConfig, peak: float, dev_losses: Sequence[float]) -> float:
    """The peak after every reduction that the dev losses have called for, replayed from the first."""
    rate, lowest, num_bad = peak, math.inf, 0
    for loss in dev_losses:
        if loss < lowest * (1 - config.threshold):
            lowest, num_bad = loss, 0
        else:
            num_bad += 1
        if num_bad > config.patience:
            rate, num_bad = max(rate * config.factor, config.min_lr), 0
    return rate
