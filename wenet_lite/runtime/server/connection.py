"""One websocket: from its first message to its last."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence

from aiohttp import WSMessage, WSMsgType, web

from wenet_lite.runtime.server import protocol
from wenet_lite.runtime.server.access import check_token
from wenet_lite.runtime.server.logs import log_bug, log_event
from wenet_lite.runtime.server.outbox import Outbox
from wenet_lite.runtime.server.protocol import Start
from wenet_lite.runtime.server.refusals import Reason, Refusal
from wenet_lite.runtime.server.scheduler import LiveStream, Progress
from wenet_lite.runtime.server.service import Service
from wenet_lite.runtime.transcript import Transcript

_BYTES = 2  # a sample
_LINGER_S = 5.0
"""After an endpoint a client may not have read yet that its stream is over, and goes on sending."""
_TOKEN_S = 10.0
"""For who has not told the token yet: a place is not held for a stranger."""
_CLOSE_BYTES = 123  # of a reason, in RFC 6455
_GONE = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


class Connection:
    """Speaks WeNet's protocol with one client.

    Args:
        service: that it belongs to.
        socket: after the handshake.
        transport: below it.
        remote: address of the client, for the log.
        authorized: the request had the token.
    """

    def __init__(
        self,
        service: Service,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        remote: str | None,
        *,
        authorized: bool,
    ) -> None:
        self._service, self._limits = service, service.options.limits
        self._socket, self._transport, self._authorized = socket, transport, authorized
        self._number, self._remote = service.next_number(), remote
        self._outbox = Outbox(self._limits.unread_results)
        self._stream: LiveStream | None = None
        self._start = Start()
        self._num_samples, self._odd_byte = 0, b""
        self._heard_s, self._compute_s, self._results = 0.0, 0.0, 0
        self._said_end = asyncio.Event()  # the client sends no more audio
        self._progressed = asyncio.Event()  # some of its audio was heard, or nobody waits for that any more
        self._over = False  # all that it will be told is in the outbox
        self._refusal: Refusal | None = None  # why the connection ends, or why its stream was ended early

    @property
    def hears(self) -> bool:
        """A stream is under way."""
        return self._stream is not None and not self._over

    async def run(self) -> None:
        """Serve the client until it or we have closed the connection."""
        began = time.monotonic()
        self._service.guests.add(self)
        self._service.metrics.connections.inc()
        log_event("connection opened", connection=self._number, remote=self._remote)
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._over:
                await asyncio.wait(tasks[1:])  # the last words, and why
            await _cancelled(tasks)
            await self._close()
        finally:
            for task in tasks:
                task.cancel()
            self._leave()
            self._service.guests.discard(self)
            self._service.metrics.connections.dec()
            facts = {"seconds": time.monotonic() - began, "audio_s": self._heard_s, "results": self._results}
            if self._heard_s:
                facts["real_time_factor"] = self._compute_s / self._heard_s
            log_event("connection closed", connection=self._number, **facts)

    def stop(self) -> None:
        """The server goes: a stream is ended as it is, and its results are told first."""
        refusal = Refusal(Reason.STOPPING, "the server is stopping")
        if self.hears:
            self._end_early(refusal)
        else:
            self.on_refusal(refusal)

    def on_open(self) -> None:
        """The stream is there."""
        self._tell(protocol.server_ready())

    def on_progress(self, progress: Progress) -> None:
        """Results of the stream."""
        if self._over:
            return
        self._heard_s, self._compute_s = progress.heard_s, progress.compute_s
        self._progressed.set()
        for segment in progress.segments:
            self._tell_final(segment)
        if progress.partial:
            self._outbox.put_partial(protocol.partial_result(progress.partial, progress.heard_s))
        if progress.ended:
            if not self._results:
                self._tell_final(Transcript("", 0.0, progress.heard_s, (), (), 0.0))
            self._finish(protocol.failed(self._refusal.message) if self._refusal else protocol.speech_end())

    def on_refusal(self, refusal: Refusal) -> None:
        """End the connection, and say why."""
        if self._over:
            return
        self._note(refusal)
        self._finish(protocol.failed(refusal.message))

    async def _read(self) -> None:
        """Take what comes, until the client has gone."""
        gone = False
        while not gone:
            try:
                message = await self._receive()
                gone = message.type in _GONE
                if not (gone or self._over or self._said_end.is_set()):
                    await self._take(message)
                elif message.type is WSMsgType.TEXT:
                    self._said_end.set()
            except Refusal as refusal:
                self.on_refusal(refusal)
            except Exception:
                log_bug("connection failed")
                self.on_refusal(Refusal(Reason.INTERNAL, "internal error"))
                gone = True
        self._said_end.set()

    async def _receive(self) -> WSMessage:
        """The next message; who has sent all of his audio is waited for without end, the results are on their way."""
        limit_s = self._limits.idle_s
        if self._stream is None and not self._authorized and self._service.options.token is not None:
            limit_s = min(limit_s, _TOKEN_S)
        try:
            patience_s = None if self._over or self._said_end.is_set() else limit_s
            return await asyncio.wait_for(self._socket.receive(), patience_s)  # pings are no messages
        except asyncio.TimeoutError:
            raise Refusal(Reason.IDLE, f"no message came for {limit_s:g} s") from None

    async def _take(self, message: WSMessage) -> None:
        if len(message.data) > self._limits.message_bytes:
            raise Refusal(Reason.TOO_LARGE, f"a message has at most {self._limits.message_bytes} bytes")
        if message.type is WSMsgType.BINARY:
            if self._stream is None:
                raise Refusal(Reason.MALFORMED, "Start signal is expected before binary data")
            await self._hear(message.data)
            return
        signal = protocol.parse_message(message.data, self._limits)
        if isinstance(signal, Start):
            self._begin(signal)
        elif self._stream is None:
            raise Refusal(Reason.MALFORMED, "Start signal is expected before end signal")
        else:
            self._said_end.set()
            self._stream.end()

    def _begin(self, start: Start) -> None:
        if self._stream is not None:
            raise Refusal(Reason.MALFORMED, "the stream has begun already; one connection is one stream")
        if not self._authorized:
            check_token(self._service.options.token, start.token)
        self._service.check_open()
        self._start = start
        self._stream = self._service.streams.open(start, self)

    async def _hear(self, audio: bytes) -> None:
        """Hand audio on, when no more of it waits than may."""
        assert self._stream is not None
        rate = self._start.sample_rate
        unheard_s = max(self._limits.unheard_s, 2 * (self._start.chunk_ms or 0) / 1000 + 1)
        while self._num_samples / rate - self._heard_s > unheard_s and not self._over:
            self._progressed.clear()
            await self._progressed.wait()
        pcm = self._odd_byte + audio
        num_samples = len(pcm) // _BYTES
        self._odd_byte = pcm[num_samples * _BYTES :]
        room = int(self._limits.stream_s * rate) - self._num_samples
        self._num_samples += min(num_samples, room)
        self._stream.accept(pcm[: min(num_samples, room) * _BYTES])
        if num_samples > room:
            self._end_early(Refusal(Reason.TOO_LONG, f"a stream has at most {self._limits.stream_s:g} s of audio"))

    def _end_early(self, refusal: Refusal) -> None:
        """Tell the results of what was heard, then the refusal."""
        assert self._stream is not None
        if self._refusal is None:
            self._note(refusal)
            self._stream.end()
            self._said_end.set()

    async def _write(self) -> None:
        """Send what is in the outbox, to its end."""
        try:
            await self._outbox.send_all(self._socket.send_str, self._limits.idle_s)
        except asyncio.TimeoutError:
            self._cut_off()
        except ConnectionError:
            return  # the client has gone
        if self._refusal is None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._said_end.wait(), _LINGER_S)

    async def _close(self) -> None:
        """Say goodbye, and read on until the client has said it too: a socket that is closed with something unread
        takes back what it has sent.
        """
        code, message = 1000, b""
        if self._refusal is not None:
            code, message = self._refusal.reason.close_code, self._refusal.message.encode()[:_CLOSE_BYTES]
        try:
            await asyncio.wait_for(self._socket.close(code=code, message=message), self._limits.idle_s)
        except asyncio.TimeoutError:
            self._cut_off()

    def _tell_final(self, segment: Transcript) -> None:
        self._results += 1
        text = {"text": segment.text} if self._service.options.log_text else {}
        log_event("result", connection=self._number, start_s=segment.start, audio_s=segment.duration, **text)
        self._tell(protocol.final_result(segment, self._start.nbest, self._heard_s))

    def _tell(self, message: str) -> None:
        if not self._over and not self._outbox.put(message):
            self._cut_off()

    def _finish(self, message: str) -> None:
        """The last that the client is told."""
        self._tell(message)
        self._outbox.close()
        self._leave()

    def _cut_off(self) -> None:
        """Who does not read his results loses them, and the connection."""
        self._note(Refusal(Reason.SLOW_READER, "results are not read"))
        self._outbox.discard()
        self._leave()
        self._transport.abort()

    def _leave(self) -> None:
        """Nothing is heard or told any more."""
        self._over = True
        self._progressed.set()
        if self._stream is not None:
            self._stream.close()

    def _note(self, refusal: Refusal) -> None:
        self._refusal = refusal
        self._service.metrics.refused(refusal.reason)
        reason, message = refusal.reason.label, refusal.message
        log_event("refused", connection=self._number, remote=self._remote, reason=reason, message=message)


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for their end; what one of them raised is a bug of ours, and raised again."""
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended
