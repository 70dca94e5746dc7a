"""One thread hears streams, a chunk of each at a time, together in one batch."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol

import numpy as np

from wenet_lite.errors import WenetLiteError
from wenet_lite.heap import HeapTrimmer
from wenet_lite.runtime.endpoint import Endpointing
from wenet_lite.runtime.recognizer import Recognizer
from wenet_lite.runtime.server.logs import log_bug
from wenet_lite.runtime.server.metrics import Metrics
from wenet_lite.runtime.server.protocol import Start
from wenet_lite.runtime.server.refusals import Reason, Refusal
from wenet_lite.runtime.stream import Stream
from wenet_lite.runtime.transcript import Transcript

_INT16 = 32768.0


@dataclass(frozen=True)
class Progress:
    """What a step made of a stream.

    Attributes:
        partial: text of the segment under way.
        segments: that have ended in this step.
        heard_s: seconds of audio heard since the stream began.
        compute_s: seconds of computing that it took, its share of each batch.
        ended: nothing more comes.
    """

    partial: str
    segments: tuple[Transcript, ...]
    heard_s: float
    compute_s: float
    ended: bool


class StreamListener(Protocol):
    """Whom a stream's results are for; called in the event loop."""

    def on_open(self) -> None:
        """The stream is there."""

    def on_progress(self, progress: Progress) -> None:
        """Some of it was heard."""

    def on_refusal(self, refusal: Refusal) -> None:
        """It cannot be heard, or not further."""


class LiveStream:
    """A stream as the event loop sees it: each method says what the stepping thread is to do, and returns at once.

    Args:
        scheduler: whose thread it is.
        start: what the client asked for.
        listener: of the results.
    """

    def __init__(self, scheduler: Scheduler, start: Start, listener: StreamListener) -> None:
        self.start, self.listener = start, listener
        self._scheduler = scheduler
        self._closed = False

    def accept(self, pcm: bytes) -> None:
        """Take audio, signed 16 bit little endian."""
        self._scheduler.post(self, functools.partial(self._scheduler.accept, self, pcm, time.monotonic()))

    def end(self) -> None:
        """No more audio comes; the results do."""
        self._scheduler.post(self, functools.partial(self._scheduler.end, self))

    def close(self) -> None:
        """Forget it; more calls do nothing."""
        if self._closed:
            return
        self._closed = True
        self._scheduler.num_streams -= 1
        self._scheduler.post(self, functools.partial(self._scheduler.close, self))


@dataclass
class _Heard:
    """The thread's side of a stream.

    Attributes:
        stream: audio, and what is recognised of it.
        heard_s, compute_s: seconds that its listener was told of.
        waits_since: when the chunk that waits was complete, on the monotonic clock; None where none waits.
    """

    stream: Stream
    heard_s: float = 0.0
    compute_s: float = 0.0
    waits_since: float | None = None


class Scheduler:
    """Hears streams. `open`, `post`, `run` and `stop` are for the event loop, all else happens in the thread.

    Args:
        recognizer: the model.
        endpointing: where segments end.
        metrics: to keep, of this thread and others.
        trim: is told of work.
    Attributes:
        num_streams: that were opened and not closed, as the event loop knows.
    """

    def __init__(self, recognizer: Recognizer, endpointing: Endpointing, metrics: Metrics, trim: HeapTrimmer) -> None:
        self._recognizer, self._endpointing, self._metrics, self._trim = recognizer, endpointing, metrics, trim
        self._stepper = recognizer.stepper()
        self._inbox: SimpleQueue[tuple[LiveStream, Callable[[], None]] | None] = SimpleQueue()
        self._streams: dict[LiveStream, _Heard] = {}
        self._num_waiting = 0
        self.num_streams = 0
        self._thread = Thread(target=self._run, name="streams", daemon=True)

    def run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread; listeners are called in `loop`."""
        self._loop = loop
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after the step that it is in; streams that are left are not heard further."""
        self._inbox.put(None)
        self._thread.join()

    @property
    def alive(self) -> bool:
        """The thread runs."""
        return self._thread.is_alive()

    def open(self, start: Start, listener: StreamListener) -> LiveStream:
        """Begin a stream."""
        live = LiveStream(self, start, listener)
        self.num_streams += 1
        self.post(live, functools.partial(self._open, live))
        return live

    def post(self, live: LiveStream, action: Callable[[], None]) -> None:
        """Have something done for a stream by the thread, in the order of the calls."""
        self._inbox.put((live, action))

    def accept(self, live: LiveStream, pcm: bytes, arrived: float) -> None:
        """Buffer audio that came in at `arrived`."""
        if (heard := self._streams.get(live)) is None:
            return
        heard.stream.accept(np.frombuffer(pcm, "<i2").astype(np.float32) / _INT16)
        self._mark_waiting(heard, arrived)

    def end(self, live: LiveStream) -> None:
        """Take no more audio."""
        if (heard := self._streams.get(live)) is not None:
            heard.stream.end()
            self._mark_waiting(heard, time.monotonic())

    def close(self, live: LiveStream) -> None:
        """Forget a stream."""
        if self._streams.pop(live, None) is not None:
            self._metrics.streams.dec()

    def _run(self) -> None:
        waiting: list[LiveStream] = []
        while self._obey(wait=not waiting):
            waiting = [live for live, heard in self._streams.items() if heard.stream.ready]
            self._metrics.queue_depth.labels("stream").inc(len(waiting) - self._num_waiting)
            self._num_waiting = len(waiting)
            if waiting:
                try:
                    self._step(waiting)
                except Exception:
                    self._fail(waiting)
            self._trim()

    def _obey(self, *, wait: bool) -> bool:
        """Do what was posted; False when the thread is to end."""
        while True:
            try:
                posted = self._inbox.get(block=wait)
            except Empty:
                return True
            if posted is None:
                return False
            live, action = posted
            try:
                action()
            except Exception:
                self._fail([live])
            wait = False

    def _open(self, live: LiveStream) -> None:
        start = live.start
        try:
            stream = self._recognizer.open_stream(
                start.sample_rate,
                chunk_ms=start.chunk_ms,
                left_chunks=start.left_chunks,
                hotwords=start.hotwords,
                endpointing=self._endpointing,
            )
        except (WenetLiteError, ValueError) as error:
            self._loop.call_soon_threadsafe(live.listener.on_refusal, Refusal(Reason.MALFORMED, str(error)))
        else:
            self._streams[live] = _Heard(stream)
            self._metrics.streams.inc()
            self._loop.call_soon_threadsafe(live.listener.on_open)

    def _step(self, waiting: list[LiveStream]) -> None:
        began = time.monotonic()
        self._stepper.step([self._streams[live].stream for live in waiting])
        now, audio_s, told = time.monotonic(), 0.0, []
        for live in waiting:
            heard, before = self._streams[live], self._streams[live].heard_s
            if heard.waits_since is not None:
                self._metrics.chunk_latency.observe(now - heard.waits_since)
            heard.compute_s += (now - began) / len(waiting)
            told.append((live, self._progress(live, heard)))
            audio_s += heard.heard_s - before
            heard.waits_since = now if heard.stream.ready else None
        self._metrics.heard("stream", audio_s, now - began)
        self._loop.call_soon_threadsafe(_tell_all, told)

    def _progress(self, live: LiveStream, heard: _Heard) -> Progress:
        """What there is to tell of a stream; one that has ended is forgotten."""
        stream = heard.stream
        segments, ended = tuple(stream.take()), stream.ended
        if segments and not live.start.continuous_decoding:
            segments, ended = segments[:1], True
        heard.heard_s = stream.heard_s
        progress = Progress("" if ended else stream.partial, segments, heard.heard_s, heard.compute_s, ended)
        if ended:
            self.close(live)
        return progress

    def _fail(self, failing: list[LiveStream]) -> None:
        """A bug of ours ends these streams, and no others."""
        log_bug("streams failed")
        for live in failing:
            self.close(live)
            refusal = Refusal(Reason.INTERNAL, "internal error")
            self._loop.call_soon_threadsafe(live.listener.on_refusal, refusal)

    @staticmethod
    def _mark_waiting(heard: _Heard, since: float) -> None:
        if heard.waits_since is None and heard.stream.ready:
            heard.waits_since = since


def _tell_all(told: list[tuple[LiveStream, Progress]]) -> None:
    for live, progress in told:
        live.listener.on_progress(progress)
