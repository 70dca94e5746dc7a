"""What all requests of a server share."""

from __future__ import annotations

import asyncio
import itertools
from typing import Protocol

from wenet_lite.heap import HeapTrimmer
from wenet_lite.runtime.recognizer import Recognizer
from wenet_lite.runtime.server.files import FileQueue
from wenet_lite.runtime.server.metrics import Metrics
from wenet_lite.runtime.server.options import ServerOptions
from wenet_lite.runtime.server.refusals import Reason, Refusal
from wenet_lite.runtime.server.stream_threads import StreamThreads

_TRIM_S = 2.0
"""Between two times that the heap is trimmed."""


class Guest(Protocol):
    """A websocket, as the service sees it."""

    @property
    def hears(self) -> bool:
        """A stream is under way."""

    def stop(self) -> None:
        """End the stream, if there is one, then the connection, and say why."""


class Service:
    """The parts of a server, and who is there.

    Args:
        recognizer: the model.
        options: of the server.
    Attributes:
        guests: open websockets.
        draining: nothing new is taken.
    """

    def __init__(self, recognizer: Recognizer, options: ServerOptions) -> None:
        self.options = options
        self.metrics = Metrics()
        trim = HeapTrimmer(_TRIM_S)
        self.streams = StreamThreads(recognizer, options.endpointing, self.metrics, trim, options.threads)
        self.files = FileQueue(recognizer, options, self.metrics, trim)
        self.guests: set[Guest] = set()
        self.draining = False
        self._numbers = itertools.count(1)

    def next_number(self) -> int:
        """A number for a connection or a file, for the log."""
        return next(self._numbers)

    def check_open(self) -> None:
        """Nothing new is taken while the server stops.

        Raises:
            Refusal: if it does.
        """
        if self.draining:
            raise Refusal(Reason.STOPPING, "the server is stopping")

    async def drain(self) -> None:
        """Take nothing new, and wait until all that is under way has ended."""
        self.draining = True
        for guest in list(self.guests):
            if not guest.hears:
                guest.stop()
        while self.guests or self.files.taken:
            await asyncio.sleep(0.05)
