"""The plan of an epoch over shards that are read as streams, each from its beginning to its end."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from wenet_lite.data.batch_plan import BatchPlan, EpochPlan, cut, order_by_size, rounded_up
from wenet_lite.data.draws import epoch_draws
from wenet_lite.errors import ConfigError

_SHARD_DRAW, _WINDOW_DRAW = 4, 5


@dataclass(frozen=True)
class ShardPlan(BatchPlan):
    """A `BatchPlan` that keeps its contract and reads every shard once, in one go.

    The shards of an epoch, shuffled, are dealt to G lanes; micro-batch g of each update comes from lane g, so a
    rank that has lanes g, g + W, ... opens their shards only. Inside a lane, whole shards of at least
    `shard_window` utterances together form a window; batches are made inside a window, by length, and shuffled
    there: no more than a window a lane is ever held. All lanes have equally many micro-batches: those that would
    have fewer halve their fullest ones.

    Args:
        shard_starts: (shards,) position of each shard's first utterance in the manifest.
    Raises:
        ConfigError: if there are fewer shards than lanes, or a list has another weight than 1.
    """

    shard_starts: np.ndarray = field(kw_only=True)
    _last: dict[int, EpochPlan] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if any(weight != 1 for weight in self.weights):
            raise ConfigError(
                "shards that are read as streams are read once an epoch, so their lists take no weights",
                cure="copy the shards to a local disk",
            )
        super().__post_init__()
        if len(self._shards()) < self.config.micro_batches_per_update:
            raise ConfigError(
                f"{len(self._shards())} shards cannot be read by {self.config.micro_batches_per_update} lanes",
                cure="make smaller shards, or lower micro_batches_per_update",
            )

    def epoch(self, epoch: int) -> EpochPlan:
        """Plan epoch number `epoch` (from 0); the last one is kept, for whoever asks how many updates it has."""
        if epoch not in self._last:
            self._last.clear()
            self._last[epoch] = self._plan(epoch)
        return self._last[epoch]

    def _plan(self, epoch: int) -> EpochPlan:
        lanes = self.config.micro_batches_per_update
        positions, occurrences = self._occurrences.of_epoch(epoch)  # of weight 1: each position once, in order
        speeds, frames = self._speeds_and_frames(positions, occurrences)
        sizes = rounded_up(frames, self.config.bucket_width)
        random = epoch_draws(self.seed, epoch, _WINDOW_DRAW)
        batches_of = [
            list(chain.from_iterable(self._batches(window, sizes, random) for window in self._windows(shards)))
            for shards in self._deal(frames, epoch)
        ]
        target = max(map(len, batches_of))
        batches_of = [_halve_until(batches, target) for batches in batches_of]
        batches = [batches_of[number % lanes][number // lanes] for number in range(target * lanes)]
        chosen = np.concatenate(batches)
        padded = sum(frames[batch].max(initial=0) * len(batch) for batch in batches)
        offsets = np.cumsum([0, *map(len, batches)])
        padding = float(1 - frames.sum() / padded)
        return EpochPlan(self.kept[chosen], speeds[chosen], occurrences[chosen], offsets, lanes, padding)

    def num_updates(self, first: int, last: int) -> int:
        """Updates of epochs `first` to `last` - 1, as if all of them had as many as `first`: exact for one epoch.

        Each epoch deals the shards anew, so another one may have a few more or fewer; to plan them all takes minutes
        where there are millions of utterances.
        """
        return max(last - first, 0) * self.epoch(first).num_updates

    def _shards(self) -> list[np.ndarray]:
        """Positions in `kept` of each shard's utterances, for the shards that have any."""
        bounds = np.searchsorted(self.kept, self.shard_starts[1:])
        return [shard for shard in np.split(np.arange(len(self.kept)), bounds) if len(shard)]

    def _deal(self, frames: np.ndarray, epoch: int) -> list[list[np.ndarray]]:
        """The epoch's shards in a drawn order, each dealt to the lane that has the fewest frames so far."""
        shards = self._shards()
        lanes: list[list[np.ndarray]] = [[] for _ in range(self.config.micro_batches_per_update)]
        loads = [(0.0, lane) for lane in range(len(lanes))]
        for number in epoch_draws(self.seed, epoch, _SHARD_DRAW).permutation(len(shards)):
            load, lane = heapq.heappop(loads)
            lanes[lane].append(shards[number])
            heapq.heappush(loads, (load + float(frames[shards[number]].sum()), lane))
        return lanes

    def _windows(self, shards: list[np.ndarray]) -> list[np.ndarray]:
        windows, window = [], [shards[0]]
        for shard in shards[1:]:
            if sum(map(len, window)) >= self.config.shard_window:
                windows.append(np.concatenate(window))
                window = []
            window.append(shard)
        return [*windows, np.concatenate(window)]

    def _batches(self, window: np.ndarray, sizes: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
        order = window[order_by_size(sizes[window], random)]
        batches = np.split(order, cut(sizes[order], self.config)[1:-1])
        return [batches[i] for i in random.permutation(len(batches))]


def _halve_until(batches: list[np.ndarray], target: int) -> list[np.ndarray]:
    """Halve the fullest until there are `target`, the halves side by side; then add empty ones."""
    heap = [(-len(batch), position) for position, batch in enumerate(batches)]
    heapq.heapify(heap)
    halves: dict[int, list[np.ndarray]] = {}
    while heap and len(batches) + len(halves) < target and -heap[0][0] > 1:
        _, position = heapq.heappop(heap)
        halves[position] = np.array_split(batches[position], 2)
    divided = list(chain.from_iterable(halves.get(i, [batch]) for i, batch in enumerate(batches)))
    if len(divided) < target and any(len(batch) > 1 for batch in divided):
        return _halve_until(divided, target)
    return divided + [np.zeros(0, np.int64)] * (target - len(divided))
