"""What a run is warned of, once each, with the cure."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from wenet_lite.model.model_config import ModelConfig
from wenet_lite.training.metrics import EXPERT
from wenet_lite.training.training_config import TrainingConfig

_MOST_WAITING = 0.2
_SETTLED_UPDATES = 50
"""After a start workers have read little ahead."""
_STILL_UPDATES = 2000
_STILL = 0.01
_DEAD = 0.1
"""Part of its fair share of frames below which an expert is dead."""


class Watch:
    """Looks at each record of training metrics.

    Args:
        config: of the run; while the learning rate warms up little is expected of the loss.
        model: tells how many experts share a layer's frames.
    """

    def __init__(self, config: TrainingConfig, model: ModelConfig) -> None:
        self._warmup = config.schedule.warmup_updates
        self._experts = model.encoder.moe.num_experts if model.encoder.moe else 0
        self._told: set[str] = set()
        self._first = sys.maxsize
        self._losses: list[tuple[int, float]] = []

    def warnings(self, update: int, metrics: Mapping[str, float]) -> list[str]:
        """Warnings that these metrics, measured after `update` updates, are the first reason for."""
        found = {
            **dict(self._waiting(update, metrics)),
            **dict(self._still(update, metrics)),
            **dict(self._dead(metrics)),
        }
        new = [text for kind, text in found.items() if kind not in self._told]
        self._told |= found.keys()
        return new

    def _waiting(self, update: int, metrics: Mapping[str, float]) -> Iterator[tuple[str, str]]:
        self._first = min(self._first, update)
        wait = metrics["data_wait"]
        if wait > _MOST_WAITING and update >= self._first + _SETTLED_UPDATES:
            yield (
                "waiting",
                f"{100 * wait:.0f} % of the time is spent waiting for data: raise training.num_workers, "
                "or put the data into shards or on a faster disk",
            )

    def _still(self, update: int, metrics: Mapping[str, float]) -> Iterator[tuple[str, str]]:
        self._losses.append((update, metrics["loss"]))
        recent = [loss for at, loss in self._losses if at > update - _STILL_UPDATES]
        before = [loss for at, loss in self._losses if update - 2 * _STILL_UPDATES < at <= update - _STILL_UPDATES]
        if not before or update < self._warmup + 2 * _STILL_UPDATES or "still" in self._told:
            return
        then, now = sum(before) / len(before), sum(recent) / len(recent)
        if now > (1 - _STILL) * then and metrics["accuracy"] < 0.5:
            yield (
                "still",
                f"the loss has not moved for {_STILL_UPDATES} updates ({then:.4g}, now {now:.4g}): is the text that of "
                "the audio? Else try another training.optimizer.lr, a longer warm-up, or less augmentation",
            )

    def _dead(self, metrics: Mapping[str, float]) -> Iterator[tuple[str, str]]:
        dead = [name for name, share in metrics.items() if name.startswith(EXPERT) and share < _DEAD / self._experts]
        if dead:
            yield (
                "dead",
                f"experts that hear next to nothing: {', '.join(dead[:6])}{', ...' if len(dead) > 6 else ''}; "
                "raise model.encoder.moe.importance_weight, or take fewer experts",
            )
