"""Streams over several threads, so that a server uses several cores."""

from __future__ import annotations

import asyncio

from wenet_lite.heap import HeapTrimmer
from wenet_lite.runtime.endpoint import Endpointing
from wenet_lite.runtime.recognizer import Recognizer
from wenet_lite.runtime.server.metrics import Metrics
from wenet_lite.runtime.server.protocol import Start
from wenet_lite.runtime.server.scheduler import LiveStream, Scheduler, StreamListener


class StreamThreads:
    """Schedulers, each with a thread and streams of its own. A new stream goes to the one that has the fewest.

    Args:
        recognizer: the model, which all share.
        endpointing: where segments end.
        metrics: to keep.
        trim: is told of work.
        count: threads.
    """

    def __init__(
        self, recognizer: Recognizer, endpointing: Endpointing, metrics: Metrics, trim: HeapTrimmer, count: int
    ) -> None:
        self._schedulers = [Scheduler(recognizer, endpointing, metrics, trim) for _ in range(count)]

    @property
    def alive(self) -> bool:
        """All threads run."""
        return all(scheduler.alive for scheduler in self._schedulers)

    def run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the threads; listeners are called in `loop`."""
        for scheduler in self._schedulers:
            scheduler.run(loop)

    def stop(self) -> None:
        """End the threads, as `Scheduler.stop`."""
        for scheduler in self._schedulers:
            scheduler.stop()

    def open(self, start: Start, listener: StreamListener) -> LiveStream:
        """Begin a stream."""
        return min(self._schedulers, key=lambda scheduler: scheduler.num_streams).open(start, listener)
