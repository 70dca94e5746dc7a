"""Which utterances make up each micro-batch of an epoch, decided before the epoch starts."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from wenet_lite.data.draws import epoch_draws
from wenet_lite.data.occurrences import Occurrences
from wenet_lite.errors import ConfigError

_SPEED_DRAW, _ORDER_DRAW, _SHUFFLE_DRAW = 1, 2, 3


@dataclass(frozen=True)
class BatchConfig:
    """Attributes:
    max_frames: padded feature frames a micro-batch holds at most (longest utterance times utterances).
    max_utterances: utterances a micro-batch holds at most.
    batch_size: utterances of each micro-batch, whatever their lengths; 0 lets max_frames decide.
    micro_batches_per_update: micro-batches an update takes, whatever the number of ranks that share them.
    speed_factors: factors of speed perturbation; each utterance goes through all of them in as many occurrences.
    plain_epochs: times that an utterance is taken as it was recorded before speed perturbation, what is done to
        waveforms, SpecAugment and the second view of CR-CTC begin; epochs, where its list has weight 1.
    bucket_width: lengths that differ by less than this part count as equal, and are shuffled, when batches are made.
    min_frames, max_frames_per_utterance: shorter and longer utterances are left out, and listed.
    warm_up_largest: start training with the largest micro-batches, so that memory runs out at once or never.
    shard_window: utterances of a shard that is read as a stream which are held at a time to be sorted by length.
    """

    max_frames: int = 12000
    max_utterances: int = 256
    batch_size: int = 0
    micro_batches_per_update: int = 1
    speed_factors: tuple[float, ...] = (0.9, 1.0, 1.1)
    plain_epochs: int = 0
    bucket_width: float = 0.02
    min_frames: int = 10
    max_frames_per_utterance: int = 4000
    warm_up_largest: bool = False
    shard_window: int = 1000

    def __post_init__(self) -> None:
        if self.max_frames_per_utterance > self.max_frames:
            raise ValueError("max_frames is less than max_frames_per_utterance, so the longest would fit no batch")
        if min(self.micro_batches_per_update, self.max_utterances, self.shard_window) < 1:
            raise ValueError("micro_batches_per_update, max_utterances and shard_window must be at least 1")
        if min(self.batch_size, self.bucket_width, self.plain_epochs) < 0:
            raise ValueError("batch_size, bucket_width and plain_epochs must not be negative")
        if not self.bucket_width < math.inf:
            raise ValueError("bucket_width must be a finite number")
        if not self.speed_factors or min(self.speed_factors) <= 0:
            raise ValueError("speed_factors must be a list of positive numbers")


@dataclass(frozen=True)
class MicroBatch:
    """Attributes:
    indices: (n,) positions of its utterances in the manifest; none where G has no other share to give.
    speeds: (n,) speed factor of each.
    occurrences: (n,) how often each was taken before; the epoch's number where its list has weight 1.
    """

    indices: np.ndarray
    speeds: np.ndarray
    occurrences: np.ndarray


@dataclass(frozen=True)
class EpochPlan:
    """All micro-batches of an epoch, in order: update u takes number u * G to u * G + G - 1.

    Attributes:
        indices: (utterances,) positions in the manifest, micro-batch after micro-batch.
        speeds: (utterances,) speed factor of each.
        occurrences: (utterances,) how often each was taken before.
        offsets: (micro-batches + 1,) where each micro-batch begins in `indices`.
        micro_batches_per_update: G.
        padding: part of the padded frames that is padding.
    """

    indices: np.ndarray
    speeds: np.ndarray
    occurrences: np.ndarray
    offsets: np.ndarray
    micro_batches_per_update: int
    padding: float

    @property
    def num_micro_batches(self) -> int:
        """Micro-batches of the epoch, a multiple of G."""
        return len(self.offsets) - 1

    @property
    def num_updates(self) -> int:
        """Updates of the epoch."""
        return self.num_micro_batches // self.micro_batches_per_update

    def micro_batch(self, number: int) -> MicroBatch:
        """Micro-batch `number`, from 0 in this epoch."""
        span = slice(self.offsets[number], self.offsets[number + 1])
        return MicroBatch(self.indices[span], self.speeds[span], self.occurrences[span])

    def num_utterances(self, update: int) -> int:
        """Utterances of update `update` (from 0 in this epoch), over all ranks."""
        first = update * self.micro_batches_per_update
        return int(self.offsets[first + self.micro_batches_per_update] - self.offsets[first])

    def of_rank(self, rank: int, world_size: int, first_update: int = 0) -> Iterator[MicroBatch]:
        """This rank's share from `first_update` on: of each update every `world_size`-th micro-batch."""
        group = self.micro_batches_per_update
        for update in range(first_update, self.num_updates):
            for number in range(rank, group, world_size):
                yield self.micro_batch(update * group + number)


@dataclass(frozen=True)
class BatchPlan:
    """The plan of every epoch, a function of lengths, configuration and seed alone.

    Contract: every utterance that is not in `dropped` is in exactly one micro-batch of each epoch, or, where its
    list has another weight than 1, occurs as often as `Occurrences` tells, sometimes twice in a micro-batch; the
    plan is the same on every rank and for every number of ranks; the number of micro-batches is a
    multiple of G, so all ranks take the same number of steps and (epoch, update) is the whole state.

    Padding: utterances are cut into batches in the order of their lengths, rounded up to the next of a
    geometric series of step 1 + bucket_width. So the padding of an epoch is at most bucket_width of its
    frames, plus the utterances of its fullest batch times (longest - shortest utterance).

    Args:
        num_frames: (utterances,) feature frames at speed 1.
        min_frames: (utterances,) fewest feature frames that the transcript can be aligned to.
        config: sizes and draws.
        seed: the experiment's seed.
        unusable: utterances that are not to be planned for a reason of their own.
        list_starts: (lists,) position of each list's first utterance.
        weights: (lists,) times that an epoch takes each list.
    Attributes:
        kept: indices of the planned utterances.
        dropped: index of each utterance left out, and the reason.
    Raises:
        ConfigError: if an epoch has fewer utterances than micro_batches_per_update.
    """

    num_frames: np.ndarray
    min_frames: np.ndarray
    config: BatchConfig
    seed: int
    unusable: Mapping[int, str] = field(default_factory=dict)
    list_starts: Sequence[int] = (0,)
    weights: Sequence[float] = (1.0,)
    kept: np.ndarray = field(init=False)
    dropped: dict[int, str] = field(init=False)
    _occurrences: Occurrences = field(init=False)
    _updates: dict[Hashable, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        dropped = left_out(self.num_frames, self.min_frames, self.config, self.unusable)
        kept = np.delete(np.arange(len(self.num_frames)), np.fromiter(dropped, np.int64, len(dropped)))
        object.__setattr__(self, "kept", kept)
        object.__setattr__(self, "dropped", dropped)
        counts = np.diff(np.searchsorted(kept, [*self.list_starts, len(self.num_frames)])).tolist()
        occurrences = Occurrences(tuple(counts), tuple(self.weights), self.seed)
        object.__setattr__(self, "_occurrences", occurrences)
        if occurrences.fewest < self.config.micro_batches_per_update:
            example = next(iter(dropped.values()), "")
            raise ConfigError(
                f"{len(kept)} of {len(self.num_frames)} utterances can be used, {occurrences.fewest} in an epoch, "
                "fewer than micro_batches_per_update" + f"; one of the others is {example}" * bool(example),
                cure="lower micro_batches_per_update, raise a weight, or mend the data",
            )

    def epoch(self, epoch: int) -> EpochPlan:
        """Plan epoch number `epoch` (from 0)."""
        config = self.config
        positions, occurrences = self._occurrences.of_epoch(epoch)
        speeds, frames = self._speeds_and_frames(positions, occurrences)
        sizes = rounded_up(frames, config.bucket_width)
        order = order_by_size(sizes, epoch_draws(self.seed, epoch, _ORDER_DRAW))
        bounds = multiple_of(cut(sizes[order], config), config.micro_batches_per_update)
        longest = np.maximum.reduceat(frames[order], bounds[:-1])
        batches = epoch_draws(self.seed, epoch, _SHUFFLE_DRAW).permutation(len(bounds) - 1)
        if config.warm_up_largest and epoch == 0:
            batches = _largest_first(batches, longest * np.diff(bounds), longest, config.micro_batches_per_update)
        counts = np.diff(bounds)[batches]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        chosen = order[np.arange(len(order)) + np.repeat(bounds[batches] - offsets[:-1], counts)]
        padding = 1 - frames.sum() / (longest * np.diff(bounds)).sum()
        return EpochPlan(
            self.kept[positions[chosen]], speeds[chosen], occurrences[chosen], offsets,
            config.micro_batches_per_update, float(padding),
        )  # fmt: skip

    def num_updates(self, first: int, last: int) -> int:
        """Updates of epochs `first` to `last` - 1: known at once, since the lengths of an epoch recur."""
        phases = [self._phase(epoch) for epoch in range(first, last)]
        for epoch, phase in enumerate(phases, first):
            if phase not in self._updates:
                self._updates[phase] = self._count_updates(epoch)
        return sum(self._updates[phase] for phase in phases)

    def _phase(self, epoch: int) -> Hashable:
        """Epochs of one phase have the same lengths."""
        return self._occurrences.phase(epoch, len(self.config.speed_factors), self.config.plain_epochs)

    def _count_updates(self, epoch: int) -> int:
        _, frames = self._speeds_and_frames(*self._occurrences.of_epoch(epoch))
        sizes = np.sort(rounded_up(frames, self.config.bucket_width))
        group = self.config.micro_batches_per_update
        return (len(multiple_of(cut(sizes, self.config), group)) - 1) // group

    def _speeds_and_frames(self, positions: np.ndarray, occurrences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        starts = epoch_draws(self.seed, 0, _SPEED_DRAW).integers(len(self.config.speed_factors), size=len(self.kept))
        indices = self.kept[positions]
        return speeds_and_frames(
            self.num_frames[indices], self.min_frames[indices], self.config, starts[positions], occurrences
        )


def left_out(
    num_frames: np.ndarray, min_frames: np.ndarray, config: BatchConfig, unusable: Mapping[int, str]
) -> dict[int, str]:
    """Index and reason of each utterance that cannot be planned."""
    dropped = dict(unusable)
    reasons = [
        (num_frames < config.min_frames, f"shorter than min_frames {config.min_frames}"),
        (num_frames > config.max_frames_per_utterance, "longer than max_frames_per_utterance"),
        (num_frames < min_frames, "too short for its transcript"),
    ]
    for at_fault, reason in reasons:
        for index in np.flatnonzero(at_fault):
            dropped.setdefault(int(index), reason)
    return dropped


def speeds_and_frames(
    num_frames: np.ndarray, min_frames: np.ndarray, config: BatchConfig, starts: np.ndarray, occurrences: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Speed factor of each utterance, the one whose turn it is, and its frames at that speed.

    Each utterance starts at a factor drawn for it and takes the next one at each occurrence. In its plain epochs it
    stays at 1, and where a factor would make it too short for its transcript or too long for the configuration.
    """
    factors = np.asarray(config.speed_factors)
    speeds = np.where(occurrences < config.plain_epochs, 1.0, factors[(starts + occurrences) % len(factors)])
    frames = np.floor(num_frames / speeds)
    unfit = (frames - 1 < np.maximum(min_frames, config.min_frames)) | (frames > config.max_frames_per_utterance)
    unfit &= speeds != 1.0
    return np.where(unfit, 1.0, speeds), np.where(unfit, num_frames, frames)


def rounded_up(frames: np.ndarray, width: float) -> np.ndarray:
    """Lengths rounded up to a geometric series, so that similar ones become equal."""
    if width == 0:
        return frames
    step = np.log1p(width)
    return np.maximum(np.ceil(np.exp(np.ceil(np.log(np.maximum(frames, 1)) / step) * step)), frames)


def order_by_size(sizes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Positions in the order of `sizes`, equal ones shuffled."""
    shuffled = random.permutation(len(sizes))
    return shuffled[np.argsort(sizes[shuffled], kind="stable")]


def cut(sizes: np.ndarray, config: BatchConfig) -> np.ndarray:
    """Bounds (batches + 1,) of batches over utterances in the order of their sizes, each as full as may be."""
    total = len(sizes)
    if config.batch_size:
        return np.append(np.arange(0, total, config.batch_size), total)
    bounds, start = [np.zeros(1, dtype=np.int64)], 0
    while start < total:
        # the most that fit if all are as short as the first; there may be many batches of its size alone
        most = max(min(int(config.max_frames // max(sizes[start], 1)), config.max_utterances), 1)
        alike = int(np.searchsorted(sizes[start:], sizes[start], side="right"))
        full = alike // most
        bounds.append(start + most * np.arange(1, full + 1))
        start += most * full
        if full == 0:  # longer ones come into it: fewer, as the longest of so many allows
            padded = np.arange(1, min(most, total - start) + 1) * sizes[start : start + most]
            start += max(int(np.searchsorted(padded, config.max_frames, side="right")), 1)
            bounds.append(np.array([start]))
    return np.concatenate(bounds)


def multiple_of(bounds: np.ndarray, group: int) -> np.ndarray:
    """Halve the fullest batches until their number is a multiple of `group`; at the end of a list, empty ones do it."""
    parts = bounds.tolist()
    while (len(parts) - 1) % group:
        sizes = np.diff(parts)
        fullest = int(sizes.argmax())
        parts.insert(fullest + 1, parts[fullest] + int(sizes[fullest]) // 2)
    return np.array(parts)


def _largest_first(batches: np.ndarray, padded: np.ndarray, longest: np.ndarray, group: int) -> np.ndarray:
    """The batches with the most frames and those with the longest utterances at the front."""
    first = np.concatenate([np.argsort(-padded, kind="stable")[:group], np.argsort(-longest, kind="stable")[:group]])
    first = first[np.sort(np.unique(first, return_index=True)[1])]
    return np.concatenate([first, batches[~np.isin(batches, first)]])
