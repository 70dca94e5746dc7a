"""The server: its routes, its start and its end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from socket import SO_SNDBUF, SOL_SOCKET

import numpy as np
from aiohttp import web

from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.runtime.recognizer import Recognizer
from wenet_lite.runtime.server import protocol
from wenet_lite.runtime.server.access import check_origin, check_token, token_of
from wenet_lite.runtime.server.connection import Connection
from wenet_lite.runtime.server.listener import Listener, listen
from wenet_lite.runtime.server.logs import log_bug, log_event
from wenet_lite.runtime.server.metrics import CONTENT_TYPE
from wenet_lite.runtime.server.options import ServerOptions
from wenet_lite.runtime.server.page import Page
from wenet_lite.runtime.server.refusals import Reason, Refusal
from wenet_lite.runtime.server.service import Service
from wenet_lite.runtime.server.transcription import Transcription, error_body

_PARTING_S = 5.0
"""For results of what is heard by the end of the draining time."""
_CLOSE_S = 5.0
_WRITE_BYTES = 1 << 14
_OPEN = ("/", "/ws", "/healthz")
"""Where the token may be missing: the page asks for it, a stream can tell it in its first message."""
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """A recogniser behind one port.

    Args:
        recognizer: the model.
        options: of the server.
    """

    def __init__(self, recognizer: Recognizer, options: ServerOptions) -> None:
        self._options = options
        self._service = Service(recognizer, options)
        self._page = Page()
        self._stopping = asyncio.Event()

    async def run(self, listener: Listener, announce: Callable[[str], None]) -> bool:
        """Serve until SIGTERM or SIGINT, then end what is under way; a second signal does not wait for that.

        Args:
            listener: where.
            announce: is told the address once clients are served.
        Returns:
            whether a file is still recognised, which nobody waits for.
        """
        loop = asyncio.get_running_loop()
        runner = web.AppRunner(self._app(), access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        await web.SockSite(runner, listener.socket, ssl_context=listener.tls).start()
        self._service.streams.run(loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        announce(listener.address)
        await self._stopping.wait()
        await self._drain()
        given_up = self._service.files.taken > 0 or self._service.files.busy
        self._service.files.stop()
        await runner.cleanup()
        self._service.streams.stop()
        log_event("stopped")
        return given_up

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        transcription = Transcription(self._service)
        app.router.add_get("/", self._socket_or_page, allow_head=False)
        app.router.add_get("/ws", self._socket, allow_head=False)
        app.router.add_post("/v1/audio/transcriptions", transcription.transcribe)
        app.router.add_get("/v1/models", transcription.models)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/metrics", self._metrics)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Check who asks, and turn what goes wrong into an answer of one line."""
        try:
            check_origin(request, self._options.allow_origins)
            if request.path not in _OPEN or token_of(request) is not None:
                check_token(self._options.token, token_of(request))
            response = await handler(request)
        except Refusal as refusal:
            self._service.metrics.refused(refusal.reason)
            reason, path = refusal.reason.label, request.path
            log_event("refused", remote=request.remote, path=path, reason=reason, message=refusal.message)
            response = _answer(request, refusal)
        except web.HTTPException as error:
            return web.json_response({"error": {"message": error.reason}}, status=error.status)
        except Exception:
            log_bug("request failed")
            response = _answer(request, Refusal(Reason.INTERNAL, "internal error"))
        if not response.prepared:
            response.headers["X-Content-Type-Options"] = "nosniff"
            response.headers["Referrer-Policy"] = "no-referrer"
        return response

    async def _socket_or_page(self, request: web.Request) -> web.StreamResponse:
        return await self._socket(request) if _upgrades(request) else self._page.response()

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        limits, service = self._options.limits, self._service
        # What is a little too large is refused in words; aiohttp closes on what is much too large.
        socket = web.WebSocketResponse(
            timeout=_CLOSE_S, max_msg_size=4 * limits.message_bytes, compress=False, writer_limit=_WRITE_BYTES
        )
        if not socket.can_prepare(request):
            raise Refusal(Reason.MALFORMED, "a websocket handshake is expected")
        await socket.prepare(request)
        assert request.transport is not None
        _hold_little(request.transport)
        authorized = token_of(request) is not None
        connection = Connection(service, socket, request.transport, request.remote, authorized=authorized)
        if service.draining:
            connection.stop()
        elif len(service.guests) >= limits.connections:
            message = f"{limits.connections} connections are open; try again later"
            connection.on_refusal(Refusal(Reason.FULL, message))
        await connection.run()
        return socket

    async def _health(self, request: web.Request) -> web.Response:
        if self._service.draining:
            return web.Response(text="draining\n", status=503)
        if not self._service.streams.alive:
            return web.Response(text="streams are not heard\n", status=503)
        return web.Response(text="ok\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._service.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def _drain(self) -> None:
        """Wait for what is under way; then end streams as they are, so that their results are not lost."""
        log_event("draining", connections=len(self._service.guests), files=self._service.files.taken)
        self._stopping.clear()
        idle = asyncio.create_task(self._service.drain())
        hurry = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([idle, hurry], timeout=self._options.drain_s, return_when=asyncio.FIRST_COMPLETED)
        for guest in list(self._service.guests):
            guest.stop()
        await asyncio.wait([idle], timeout=_PARTING_S)
        for task in (idle, hurry):
            task.cancel()


def serve(load: Callable[[], Recognizer], options: ServerOptions, announce: Callable[[str], None]) -> None:
    """Run a server until it is told to stop.

    Args:
        load: loads the model, when the address is had.
        options: of the server.
        announce: is told the address once clients are served.
    Raises:
        ConfigError: if the address cannot be had, or certificate and key cannot be used.
    """
    with listen(options) as listener:
        recognizer = load()
        _warm_up(recognizer)
        given_up = asyncio.run(Server(recognizer, options).run(listener, announce))
    if given_up:
        logging.shutdown()
        os._exit(0)  # Python would wait for the file's thread


def _warm_up(recognizer: Recognizer) -> None:
    """What is compiled on first use is compiled before the first client waits for it."""
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * SAMPLE_RATE).astype(np.float32)
    recognizer.transcribe(noise)
    if recognizer.backend.model.config.encoder.streams:
        session = recognizer.stream()
        session.accept(noise)
        session.finish()


def _hold_little(transport: asyncio.Transport) -> None:
    """What a slow reader has not read waits in the outbox, where a partial result gives way to a newer one."""
    transport.set_write_buffer_limits(_WRITE_BYTES)
    transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, _WRITE_BYTES)


def _upgrades(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _answer(request: web.Request, refusal: Refusal) -> web.Response:
    if request.path.startswith("/v1/"):
        return web.json_response(error_body(refusal), status=refusal.reason.status)
    return web.Response(
        text=protocol.failed(refusal.message), status=refusal.reason.status, content_type="application/json"
    )
