"""A server of `wenet-lite serve` in a process of its own, and clients of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from toy import ROOT

START = {"signal": "start", "nbest": 1, "continuous_decoding": False}
END = {"signal": "end"}


@dataclass
class LiveServer:
    """Attributes:
    process: of the server.
    address: with a slash at its end.
    log: what it has written to standard error.
    """

    process: subprocess.Popen[str]
    address: str
    log: Path

    def url(self, path: str = "") -> str:
        """Address of a path."""
        return self.address + path

    def events(self, name: str) -> list[dict[str, Any]]:
        """Lines of the log about an event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == name]

    def terminate(self) -> None:
        """What systemd does first."""
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def live_server(model: Path, log: Path, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Start a server on a free port, and end it."""
    command = [sys.executable, "-m", "wenet_lite.bin.main", "serve", str(model), "--port", "0", *options]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            line = process.stdout.readline()  # type: ignore[union-attr]
            assert line.startswith("serving "), log.read_text()
            yield LiveServer(process, line.split()[-1], log)
        finally:
            process.kill()


@dataclass
class Answers:
    """What a client was told.

    Attributes:
        messages: in order.
        close_code: of the websocket.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    close_code: int | None = None

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Messages of a type."""
        return [message for message in self.messages if message.get("type") == kind]

    @property
    def text(self) -> str:
        """The final sentences."""
        return " ".join(filter(None, (json.loads(m["nbest"])[0]["sentence"] for m in self.of("final_result"))))

    @property
    def failure(self) -> str | None:
        """Why it was refused."""
        last = self.messages[-1]
        return last["message"] if last["status"] == "failed" else None


async def read_answers(socket: aiohttp.ClientWebSocketResponse) -> Answers:
    """All messages until the server closes."""
    answers = Answers()
    async for message in socket:
        answers.messages.append(json.loads(message.data))
    answers.close_code = socket.close_code
    return answers


async def converse(url: str, *messages: dict[str, Any] | str | bytes, **options: Any) -> Answers:
    """Send messages, one after another, and read all answers."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url, **options) as socket:
        for message in messages:
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            else:
                await socket.send_str(message if isinstance(message, str) else json.dumps(message))
        return await read_answers(socket)


def portions(samples: np.ndarray, length: int = 8000) -> list[bytes]:
    """(samples,) int16 as WeNet's client sends it: half a second a message."""
    return [samples[i : i + length].astype("<i2").tobytes() for i in range(0, len(samples), length)]
