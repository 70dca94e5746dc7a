"""SIGTERM and SIGINT: all ranks stop after the same update, and a checkpoint is written."""

from __future__ import annotations

import logging
import os
import signal
import threading
from types import FrameType

import torch
import torch.distributed as dist

from wenet_lite.distributed import World, collective_timeout, waiting_for_others

_LOG = logging.getLogger(__name__)


class Wishes:
    """What any rank wishes, known to all ranks one update later, without waiting.

    A second SIGTERM or SIGINT has the effect that it has without us.

    Args:
        world: this process among the ranks.
    """

    STOP, SAVE, END = 1, 2, 4
    _BITS = (STOP, SAVE, END)

    def __init__(self, world: World) -> None:
        self._mine = 0
        self._owner = os.getpid()
        self._group: dist.ProcessGroup | None = None
        if world.size > 1:
            with waiting_for_others():
                self._group = dist.new_group(backend="gloo", timeout=collective_timeout())
        self._flags = torch.zeros(3, dtype=torch.uint8)
        self._travelling: dist.Work | None = None
        self._handlers = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._handlers[number] = signal.signal(number, self._on_signal)

    def wish(self, what: int) -> None:
        """Wish that the run stops at once, saves, or ends as if it were complete."""
        self._mine |= what

    def exchange(self) -> int:
        """Called by every rank after each update.

        Returns:
            what any rank had wished at the update before; alone, what is wished now.
        """
        mine, self._mine = self._mine, 0
        if self._group is None:
            return mine
        heard = 0
        if self._travelling is not None:
            with waiting_for_others():
                self._travelling.wait()
            heard = sum(bit for bit, flag in zip(self._BITS, self._flags.tolist()) if flag)
        self._flags = torch.tensor([bool(mine & bit) for bit in self._BITS], dtype=torch.uint8)
        self._travelling = dist.all_reduce(self._flags, dist.ReduceOp.MAX, self._group, async_op=True)
        return heard

    def agree(self) -> int:
        """What any rank has wished by now; every rank waits for the others."""
        return self.exchange() | self.exchange()

    def release_signals(self) -> None:
        """Signals have the effect again that they have without us."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def close(self) -> None:
        """Wait for what is under way."""
        if self._travelling is not None:
            with waiting_for_others():
                self._travelling.wait()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        signal.signal(number, self._handlers[signal.Signals(number)])
        if os.getpid() == self._owner:  # processes that load data inherit this
            self.wish(self.STOP)
            _LOG.warning("%s: stopping after this update", signal.Signals(number).name)
