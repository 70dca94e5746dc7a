"""How often each utterance of weighted lists is taken in each epoch."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from wenet_lite.data.draws import epoch_draws

_LIST_DRAW = 6


@dataclass(frozen=True)
class Occurrences:
    """Deals the utterances of weighted lists to epochs.

    A list is dealt in one drawn order over and over, as a pack of cards is: an epoch takes the next w times its n
    utterances, from where the last epoch stopped. So an epoch takes each utterance floor(w) times, and a part
    w - floor(w) of them once more; ceil(1 / w) epochs in a row take all of them; and all epochs have w n utterances of
    the list, rounded up or down.

    Args:
        counts: (lists,) utterances of each list.
        weights: (lists,) w of each, as the decimal number that it is written as.
        seed: of the drawn orders.
    """

    counts: tuple[int, ...]
    weights: tuple[float, ...]
    seed: int

    @property
    def fewest(self) -> int:
        """Utterances that every epoch has at least."""
        return sum(math.floor(_per_epoch(count, weight)) for count, weight in zip(self.counts, self.weights))

    def of_epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """What an epoch takes, list after list; lists of weight 1 in their own order.

        Returns:
            (utterances,) position of each in the lists together, and (utterances,) how often it was taken before.
        """
        random = epoch_draws(self.seed, 0, _LIST_DRAW)
        positions, occurrences = [], []
        start = 0
        for count, weight, dealt in zip(self.counts, self.weights, self._dealt(epoch)):
            whole = float(weight).is_integer()  # every utterance equally often: their order is of no account
            order = np.arange(count) if whole else random.permutation(count)
            numbers = np.arange(dealt.start, dealt.stop)
            positions.append(start + order[numbers % count])
            occurrences.append((numbers // count).astype(np.int32))
            start += count
        return np.concatenate(positions), np.concatenate(occurrences)

    def phase(self, epoch: int, period: int, plain: int) -> Hashable:
        """Equal for two epochs that take the same utterances with the same occurrences modulo `period`.

        Epochs with occurrences below `plain` are phases of their own.
        """
        spans = zip(self.counts, self._dealt(epoch))
        return tuple(
            (dealt.start % max(count * period, 1), min(dealt.start, count * plain), len(dealt))
            for count, dealt in spans
        )

    def _dealt(self, epoch: int) -> Iterator[range]:
        """Of each list what an epoch takes: number k is utterance k mod n of its order, for the time k div n."""
        for count, weight in zip(self.counts, self.weights):
            per_epoch = _per_epoch(count, weight)
            yield range(math.floor(epoch * per_epoch), math.floor((epoch + 1) * per_epoch))


def _per_epoch(count: int, weight: float) -> Fraction:
    """Exact, so that ten epochs of weight 0.1 are one of weight 1."""
    return count * Fraction(str(weight))
