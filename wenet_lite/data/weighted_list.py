"""Lists to train on, some more often than others."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wenet_lite.errors import ConfigError


@dataclass(frozen=True)
class WeightedList:
    """A list to train on.

    Attributes:
        path: `data.list`, or list of shards.
        weight: times that an epoch takes its utterances: 0.5 for another half of them each epoch, 2 for each twice.
    """

    path: str
    weight: float = 1.0

    @classmethod
    def parse(cls, argument: str) -> WeightedList:
        """A list as the command line has it: `PATH`, or `PATH:WEIGHT`.

        Raises:
            ConfigError: if the weight is not positive.
        """
        path, colon, number = argument.rpartition(":")
        try:
            weight = float(number)
        except ValueError:
            return cls(argument)
        if not colon:
            return cls(argument)
        if not 0 < weight < math.inf:
            raise ConfigError(f"{argument}: a weight is a positive number", cure="leave out the list, or the weight")
        return cls(path, weight)
