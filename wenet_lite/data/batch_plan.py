"""Which utterances make up each micro-batch of an epoch, decided before the epoch starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from wenet_lite.errors import ConfigError

_SPEED_DRAW, _JITTER_DRAW, _SHUFFLE_DRAW = 1, 2, 3


@dataclass(frozen=True)
class BatchConfig:
    """Attributes:
    max_frames: padded feature frames a micro-batch holds at most (longest utterance times utterances).
    max_utterances: utterances a micro-batch holds at most.
    micro_batches_per_update: micro-batches an update takes, whatever the number of ranks that share them.
    speed_factors: factors of speed perturbation, drawn with equal chance for each utterance and epoch.
    length_jitter: relative noise on lengths before sorting, so that an epoch's batches differ from the last one's.
    min_frames, max_frames_per_utterance: shorter and longer utterances are left out, and listed.
    """

    max_frames: int = 12000
    max_utterances: int = 256
    micro_batches_per_update: int = 1
    speed_factors: tuple[float, ...] = (0.9, 1.0, 1.1)
    length_jitter: float = 0.02
    min_frames: int = 10
    max_frames_per_utterance: int = 4000

    def __post_init__(self) -> None:
        if self.max_frames_per_utterance > self.max_frames:
            raise ValueError("max_frames is less than max_frames_per_utterance, so the longest would fit no batch")
        if self.micro_batches_per_update < 1 or self.max_utterances < 1:
            raise ValueError("micro_batches_per_update and max_utterances must be at least 1")
        if not self.speed_factors or min(self.speed_factors) <= 0:
            raise ValueError("speed_factors must be a list of positive numbers")


@dataclass(frozen=True)
class MicroBatch:
    """Attributes:
    indices: (n,) positions of its utterances in the manifest; none where G has no other share to give.
    speeds: (n,) speed factor of each.
    """

    indices: np.ndarray
    speeds: np.ndarray


@dataclass(frozen=True)
class EpochPlan:
    """All micro-batches of an epoch, in order.

    Attributes:
        micro_batches: update u takes number u * G to u * G + G - 1.
        micro_batches_per_update: G.
        padding: part of the padded frames that is padding.
    """

    micro_batches: list[MicroBatch]
    micro_batches_per_update: int
    padding: float

    @property
    def num_updates(self) -> int:
        """Updates of the epoch."""
        return len(self.micro_batches) // self.micro_batches_per_update

    def update(self, update: int) -> list[MicroBatch]:
        """The micro-batches of update `update` (from 0 in this epoch), over all ranks."""
        first = update * self.micro_batches_per_update
        return self.micro_batches[first : first + self.micro_batches_per_update]

    def of_rank(self, rank: int, world_size: int, first_update: int = 0) -> Iterator[tuple[int, MicroBatch]]:
        """This rank's share from `first_update` on, as (number in the epoch, micro-batch)."""
        start = first_update * self.micro_batches_per_update
        for number in range(start + rank, len(self.micro_batches), world_size):
            yield number, self.micro_batches[number]


@dataclass(frozen=True)
class BatchPlan:
    """The plan of every epoch, a function of lengths, configuration and seed alone.

    Contract: every utterance that is not in `dropped` is in exactly one micro-batch of each epoch; the
    plan is the same on every rank and for every number of ranks; the number of micro-batches is a
    multiple of G, so all ranks take the same number of steps and (epoch, update) is the whole state.

    Args:
        num_frames: (utterances,) feature frames at speed 1.
        min_frames: (utterances,) fewest feature frames that the transcript can be aligned to.
        config: sizes and draws.
        seed: the experiment's seed.
    Attributes:
        kept: indices of the planned utterances.
        dropped: index of each utterance left out, and the reason.
    """

    num_frames: np.ndarray
    min_frames: np.ndarray
    config: BatchConfig
    seed: int
    kept: np.ndarray = field(init=False)
    dropped: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        frames, config = self.num_frames, self.config
        slowest = min([*config.speed_factors, 1.0])
        reasons = [
            (frames < config.min_frames, f"shorter than min_frames {config.min_frames}"),
            (frames / slowest > config.max_frames_per_utterance, "longer than max_frames_per_utterance"),
            (frames < self.min_frames, "too short for its transcript"),
        ]
        dropped: dict[int, str] = {}
        for at_fault, reason in reasons:
            for index in np.flatnonzero(at_fault):
                dropped.setdefault(int(index), reason)
        kept = np.setdiff1d(np.arange(len(frames)), np.fromiter(dropped, dtype=np.int64, count=len(dropped)))
        object.__setattr__(self, "kept", kept)
        object.__setattr__(self, "dropped", dropped)
        if len(kept) < config.micro_batches_per_update:
            raise ConfigError(
                f"{len(kept)} of {len(frames)} utterances can be used, fewer than micro_batches_per_update",
                cure="lower micro_batches_per_update, or mend the data",
            )

    def epoch(self, epoch: int) -> EpochPlan:
        """Plan epoch number `epoch` (from 0)."""
        speeds = self._speeds(epoch)
        frames = np.floor(self.num_frames[self.kept] / speeds)
        jitter = self._random(epoch, _JITTER_DRAW).uniform(-1, 1, len(frames)) * self.config.length_jitter
        order = np.argsort(frames * (1 + jitter), kind="stable")
        groups = self._split(order, frames)
        self._random(epoch, _SHUFFLE_DRAW).shuffle(groups)
        padded = sum(frames[group].max(initial=0) * len(group) for group in groups)
        batches = [MicroBatch(self.kept[group], speeds[group]) for group in groups]
        return EpochPlan(batches, self.config.micro_batches_per_update, 1 - frames.sum() / padded)

    def _random(self, epoch: int, draw: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch, draw])

    def _speeds(self, epoch: int) -> np.ndarray:
        """Speed of each kept utterance; one that would become too short for its transcript stays at 1."""
        factors = np.asarray(self.config.speed_factors)
        speeds = factors[self._random(epoch, _SPEED_DRAW).integers(len(factors), size=len(self.kept))]
        too_short = np.floor(self.num_frames[self.kept] / speeds) - 1 < self.min_frames[self.kept]
        return np.where(too_short, 1.0, speeds)

    def _split(self, order: np.ndarray, frames: np.ndarray) -> list[np.ndarray]:
        """Cut the sorted utterances by the budget, then halve the fullest until their number is a multiple of G."""
        groups: list[np.ndarray] = []
        start, longest = 0, 0.0
        for position, length in enumerate(frames[order]):
            count = position - start + 1
            longest = max(longest, length)
            if count > self.config.max_utterances or longest * count > self.config.max_frames:
                groups.append(order[start:position])
                start, longest = position, length
        groups.append(order[start:])
        while len(groups) % self.config.micro_batches_per_update:
            fullest = max(range(len(groups)), key=lambda i: len(groups[i]))
            group = groups.pop(fullest)
            middle = len(group) // 2
            groups.extend([group[:middle], group[middle:]])
        return groups
