"""Utterances that could not be read are listed; too many of them end a run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from wenet_lite.distributed import World, gather_objects
from wenet_lite.errors import DataError

_LOG = logging.getLogger(__name__)


class Unreadable:
    """Those of one pass through a set.

    Args:
        kind: what the utterances are for, such as `training`.
        total: utterances there are.
        left_out: of these, what the plan has left out.
        max_bad_fraction: part of the utterances that may be left out or unreadable.
        world: this process among the ranks.
    """

    def __init__(self, kind: str, total: int, left_out: int, max_bad_fraction: float, world: World) -> None:
        self._kind, self._total, self._left_out = kind, total, left_out
        self._max_bad_fraction, self._world = max_bad_fraction, world
        self._failed: dict[str, str] = {}
        self.keys: set[str] = set()

    def begin(self, keys: Iterable[str] = ()) -> None:
        """A pass begins, or goes on where these ids could not be read."""
        self.keys = set(keys)

    def add(self, failed: Mapping[str, str]) -> None:
        """Take id and reason of utterances that this rank could not read."""
        self._failed.update(failed)

    def report(self) -> None:
        """Log what has come on any rank since the last report; every rank takes part.

        Raises:
            DataError: if it is too much.
        """
        found = {key: why for part in gather_objects(self._failed, self._world) for key, why in part.items()}
        self._failed = {}
        self.keys |= found.keys()
        if self._world.is_main:
            for key, reason in sorted(found.items()):
                _LOG.warning("%s utterance %s left out: %s", self._kind, key, reason)
        bad = self._left_out + len(self.keys)
        if found and bad > self._max_bad_fraction * self._total:
            raise DataError(
                f"{bad} of {self._total} {self._kind} utterances cannot be used, more than training.max_bad_fraction "
                f"{self._max_bad_fraction}; {len(self.keys)} could not be read, such as {min(found.values())}"
            )
