"""Utterances that could not be read are listed; too many of them end a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from wenet_lite.distributed import World, gather_objects
from wenet_lite.errors import DataError

_LOG = logging.getLogger(__name__)


def report_unreadable(
    failed: Mapping[str, str], world: World, *, kind: str, total: int, left_out: int, max_bad_fraction: float
) -> None:
    """Log what could not be read on any rank; every rank takes part.

    Args:
        failed: id and reason of each utterance that this rank could not read.
        world: this process among the ranks.
        kind: what the utterances are for, such as `training`.
        total: utterances there are.
        left_out: of these, what the plan has left out.
        max_bad_fraction: part of the utterances that may be left out or unreadable.
    Raises:
        DataError: if it is more.
    """
    merged = {key: reason for part in gather_objects(failed, world) for key, reason in part.items()}
    if world.is_main:
        for key, reason in sorted(merged.items()):
            _LOG.warning("%s utterance %s left out: %s", kind, key, reason)
    bad = left_out + len(merged)
    if merged and bad > max_bad_fraction * total:
        raise DataError(
            f"{bad} of {total} {kind} utterances cannot be used, more than training.max_bad_fraction "
            f"{max_bad_fraction}; {len(merged)} could not be read, such as {min(merged.values())}"
        )
