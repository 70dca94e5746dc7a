"""The options of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from wenet_lite.features.spec_augment import SpecAugmentConfig, SpecSubConfig, SpecTrimConfig
from wenet_lite.training.optimizer import OptimizerConfig
from wenet_lite.training.schedule import ScheduleConfig

_NOT_NEGATIVE = (
    "max_epochs", "max_updates", "max_hours", "early_stop", "max_bad_fraction", "checkpoint_interval",
    "checkpoint_minutes", "keep_best", "num_workers", "profile_updates",
)  # fmt: skip


@dataclass(frozen=True)
class TrainingConfig:
    """Attributes:
    max_epochs: passes over the training data.
    max_updates: updates after which the run ends; 0 for no such limit.
    max_hours: hours of training, over all restarts, after which the run ends; 0 for no such limit.
    early_stop: epochs without a better dev result after which the run ends; 0 for no such limit.
    grad_clip: largest norm of an update's gradient; .inf for no limit.
    max_bad_updates: updates in a row with a gradient that is not finite, after which the run stops.
    max_bad_fraction: part of an epoch's utterances that may be unusable or unreadable.
    log_interval: updates between two records of metrics.
    checkpoint_interval: updates between two checkpoints, besides the one after each epoch; 0 for none.
    checkpoint_minutes: minutes between two checkpoints, likewise.
    keep_checkpoints: newest checkpoints kept.
    keep_best: checkpoints with the best dev result kept besides.
    best_by: dev result that tells the best: the loss, or the WER of greedy CTC.
    num_workers: processes that load data, for each rank.
    distribution: `ddp` keeps the whole model on each rank, `fsdp` (FSDP2) shares it out.
    precision: of the products of matrices; weights, losses and updates are float32 always.
    tf32: let a GPU round the factors of float32 products to 10 bits.
    compile: compile each layer by `torch.compile`.
    gradient_checkpointing: compute each encoder layer's inside again in the backward pass, to save memory.
    deterministic: refuse operations whose result depends on the order in which threads finish.
    profile_updates: updates, after three of warm-up, that are profiled into `profile/`; 0 for none.
    ema_decay: decay of a moving average of the weights that is measured and kept beside them; 0 for none.
    optimizer, schedule: how weights and learning rate move.
    spec_augment, spec_sub, spec_trim: what is done to features; null for nothing.
    """

    max_epochs: int = 120
    max_updates: int = 0
    max_hours: float = 0.0
    early_stop: int = 0
    grad_clip: float = 5.0
    max_bad_updates: int = 20
    max_bad_fraction: float = 0.01
    log_interval: int = 100
    checkpoint_interval: int = 1000
    checkpoint_minutes: float = 0.0
    keep_checkpoints: int = 2
    keep_best: int = 10
    best_by: Literal["loss", "wer"] = "loss"
    num_workers: int = 1
    distribution: Literal["ddp", "fsdp"] = "ddp"
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    tf32: bool = False
    compile: bool = False
    gradient_checkpointing: bool = False
    deterministic: bool = False
    profile_updates: int = 0
    ema_decay: float = 0.0
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    spec_augment: SpecAugmentConfig | None = field(default_factory=SpecAugmentConfig)
    spec_sub: SpecSubConfig | None = None
    spec_trim: SpecTrimConfig | None = None

    def __post_init__(self) -> None:
        if min(self.log_interval, self.keep_checkpoints, self.max_bad_updates) < 1:
            raise ValueError("log_interval, keep_checkpoints and max_bad_updates must be at least 1")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        if self.grad_clip <= 0:
            raise ValueError("grad_clip must be above 0; inf clips nothing")
        if not 0 <= self.ema_decay < 1:
            raise ValueError("ema_decay must be at least 0 and less than 1")


FREE_TO_CHANGE = (
    "training.max_epochs",
    "training.max_updates",
    "training.max_hours",
    "training.early_stop",
    "training.max_bad_updates",
    "training.max_bad_fraction",
    "training.log_interval",
    "training.checkpoint_interval",
    "training.checkpoint_minutes",
    "training.keep_checkpoints",
    "training.keep_best",
    "training.num_workers",
    "training.distribution",
    "training.gradient_checkpointing",
    "training.profile_updates",
)
"""What may change between two parts of a run; the weights do not depend on it but for rounding and the run's length."""

SETS_THE_END = {
    "cosine": {"training.max_epochs", "training.max_updates"},
    "plateau": {"training.max_epochs", "training.max_updates", "training.max_hours"},
}
"""What is not free by type of schedule: the learning rate of a cosine depends on the last update, which hours do not
tell; a plateau's hears of the dev set wherever a part of a run has ended."""
