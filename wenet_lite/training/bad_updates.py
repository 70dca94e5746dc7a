"""Updates that were skipped because a loss or a gradient was not finite."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from wenet_lite.distributed import World, gather_objects
from wenet_lite.errors import WenetLiteError

_LOG = logging.getLogger(__name__)


class BadUpdates:
    """Notes on the device which updates were skipped, and names their utterances when it is asked.

    Args:
        limit: skipped updates in a row that end the run.
        device: where the losses are.
    """

    def __init__(self, limit: int, device: torch.device) -> None:
        self._limit = limit
        self._in_row = torch.zeros((), dtype=torch.long, device=device)
        self._longest = torch.zeros((), dtype=torch.long, device=device)
        self._heard: list[tuple[int, Sequence[str], Tensor]] = []
        self._judged: list[tuple[int, Tensor, Tensor]] = []

    def heard(self, update: int, keys: Sequence[str], losses: Tensor) -> None:
        """Utterances `keys` have these (batch,) losses in this update."""
        self._heard.append((update, keys, torch.isfinite(losses.detach())))

    def judged(self, update: int, skipped: Tensor, searching: Tensor) -> None:
        """Note an update.

        Args:
            update: its number.
            skipped: whether it was skipped; a scalar on the device.
            searching: whether the loss scale, which was halved then, may have been the reason; a scalar on the device.
        """
        self._judged.append((update, skipped, skipped & searching))
        self._in_row = torch.where(skipped, self._in_row + ~searching, 0)
        self._longest = torch.maximum(self._longest, self._in_row)

    def report(self, world: World) -> int:
        """Log what was skipped since the last report; every rank must ask.

        Returns:
            the number of updates skipped since then.
        Raises:
            WenetLiteError: if too many were skipped in a row.
        """
        flags = [torch.stack([*two]) for _, *two in self._judged]
        judged = zip(self._judged, torch.stack(flags).tolist() if flags else [])
        bad = {update: searching for (update, *_), (skipped, searching) in judged if skipped}
        if bad:
            found = gather_objects(self._utterances(bad), world)
            for update, searching in bad.items():
                if world.is_main:
                    _tell(update, [names[update] for names in found], searching)
        longest = int(self._longest) if bad else 0
        self._heard, self._judged = [], []
        self._longest = self._in_row.clone()
        if longest >= self._limit:
            raise WenetLiteError(
                f"{longest} updates in a row had a gradient that is not finite, the last of them update {max(bad)}",
                cure="lower training.optimizer.lr, raise training.schedule.warmup_updates, or look at the utterances "
                "named above",
            )
        return len(bad)

    def _utterances(self, updates: Iterable[int]) -> dict[int, tuple[list[str], list[str]]]:
        """Of each update this rank's utterances without a finite loss, and all of them."""
        found: dict[int, tuple[list[str], list[str]]] = {update: ([], []) for update in updates}
        for update, keys, finite in self._heard:
            if update in found:
                found[update][0].extend(key for key, good in zip(keys, finite.tolist()) if not good)
                found[update][1].extend(keys)
        return found


def _tell(update: int, of_ranks: list[tuple[list[str], list[str]]], searching: bool) -> None:
    culprits = [key for bad, _ in of_ranks for key in bad]
    everyone = [key for _, keys in of_ranks for key in keys]
    if culprits:
        _LOG.warning("update %d was skipped: the loss is not finite of %s", update, _listed(culprits))
    elif searching:
        _LOG.info("update %d was skipped: its gradient is too large for the loss scale, which is halved", update)
    else:
        _LOG.warning("update %d was skipped: the gradient is not finite; it had %s", update, _listed(everyone))


def _listed(keys: list[str]) -> str:
    shown = ", ".join(keys[:5])
    return f"{shown} and {len(keys) - 5} others" if len(keys) > 5 else shown
