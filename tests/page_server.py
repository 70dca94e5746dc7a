"""A server that speaks the protocol of `wenet-lite serve` and says what a test tells it to; a browser for its page."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from wenet_lite.runtime.server.page import Page

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--host-resolver-rules=MAP elsewhere.test 127.0.0.1",
)
BYTES_A_MS = 32


@dataclass
class FakeServer:
    """Hears any audio and answers with one segment.

    Attributes:
        words: what it recognises, one word every 300 ms.
        confidence: of every word.
        refusal: the message with which it refuses those who give no token, or nothing.
        starts: the start messages it was sent.
        pcm: all audio that it was sent.
        forms: the fields of the files it was sent, names and values.
        port: where it listens.
    """

    words: tuple[str, ...] = ("THE", "TRAIN", "LEAVES", "AT", "NOON")
    confidence: float = 0.9
    refusal: str = ""
    starts: list[dict[str, Any]] = field(default_factory=list)
    pcm: bytearray = field(default_factory=bytearray)
    forms: list[list[tuple[str, str]]] = field(default_factory=list)
    port: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _sockets: list[web.WebSocketResponse] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[FakeServer]:
        """Serves in a thread of its own."""
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        runner = self._await(self._start())
        try:
            yield self
        finally:
            self._await(runner.cleanup())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def hang_up(self) -> None:
        """Close all connections without a word."""
        for socket in self._sockets:
            self._await(socket.close())

    def _await(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/", self._page)
        app.router.add_get("/ws", self._websocket)
        app.router.add_post("/v1/audio/transcriptions", self._transcribe)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    async def _page(self, request: web.Request) -> web.Response:
        return Page().response()

    def _nbest(self) -> str:
        pieces = [
            {"word": word, "start": 300 * i, "end": 300 * i + 250, "confidence": self.confidence}
            for i, word in enumerate(self.words)
        ]
        return json.dumps([{"sentence": " ".join(self.words), "word_pieces": pieces}])

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.append(socket)
        heard = 0
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self.pcm += message.data
                before, heard = heard, heard + len(message.data)
                if before // 16000 != heard // 16000:  # every half second
                    await self._say(socket, "partial_result", heard)
            elif json.loads(message.data)["signal"] == "start":
                self.starts.append(json.loads(message.data))
                if self.refusal and not self.starts[-1]["token"]:
                    await socket.send_json({"status": "failed", "message": self.refusal})
                    break
                await socket.send_json({"status": "ok", "type": "server_ready"})
            else:
                await self._say(socket, "final_result", heard)
                await socket.send_json({"status": "ok", "type": "speech_end"})
                break
        return socket

    async def _say(self, socket: web.WebSocketResponse, kind: str, heard: int) -> None:
        await socket.send_json({"status": "ok", "type": kind, "nbest": self._nbest(), "audio_ms": heard // BYTES_A_MS})

    async def _transcribe(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.forms.append([(name, getattr(value, "filename", value)) for name, value in form.items()])
        if self.refusal and "Authorization" not in request.headers:
            return web.json_response({"error": {"message": self.refusal}}, status=401)
        (best,) = json.loads(self._nbest())
        words = [{**piece, "start": piece["start"] / 1000, "end": piece["end"] / 1000} for piece in best["word_pieces"]]
        return web.json_response({"text": best["sentence"], "duration": 0.3 * len(words), "words": words})
