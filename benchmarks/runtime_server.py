"""A crowd of clients at a server, for minutes, each at the speed of speech.

    python benchmarks/runtime_server.py --model <model directory> --data <data.list> [--clients 50] [--minutes 10]

Every client sends utterances of the list, one after the other with a pause after each, in portions of a tenth of a
second when they would be spoken, through a connection that stays open for a minute. What it must be told is what a
stream of the recogniser makes of the same audio, alone. Server and clients share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np
import psutil
import torch

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))

from measure import Row, machine_line, print_rows
from speech import SAMPLE_RATE, spoken_utterances

from wenet_lite.runtime.recognizer import Recognizer
from wenet_lite.runtime.server.options import WENET_ENDPOINTING

PORTION_S, PAUSE_S = 0.1, 2.0
CONNECTION_S = 60.0
"""A client begins a new connection after about so long."""
WARM_UP_SHARE = 0.2
LOWEST_OF_S = 10
MAX_GROWTH = 1.05
MAX_WAIT_S = 0.5


@dataclass
class Seen:
    """Attributes:
    sent: numbers of the utterances that each connection sent.
    found: the text that each was told.
    errors: what went wrong.
    waits: seconds from when audio was sent to when a result told that it was heard.
    resident: bytes of the server, sampled each second while all clients are there.
    """

    sent: list[list[int]] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)


def spoken_pcm(data_list: Path, count: int) -> list[bytes]:
    """Signed 16 bit little endian, with a pause after the words."""
    return [(samples * 32767).astype("<i2").tobytes() for samples in spoken_utterances(data_list, count, PAUSE_S)]


def heard_alone(recognizer: Recognizer, pcm: bytes) -> str:
    session = recognizer.stream(endpointing=WENET_ENDPOINTING)
    session.accept(np.frombuffer(pcm, "<i2"))
    return session.finish().text


async def connection(session: aiohttp.ClientSession, url: str, pcm: bytes, seen: Seen) -> str:
    """One stream from start to end; returns the text that it was told."""
    async with session.ws_connect(url, max_msg_size=0) as socket:
        await socket.send_json({"signal": "start", "continuous_decoding": True})
        ready = await socket.receive_json()
        if ready.get("type") != "server_ready":
            raise ConnectionError(str(ready))
        sent: dict[int, float] = {}
        texts: list[str] = []

        async def read() -> None:
            async for message in socket:
                reply = json.loads(message.data)
                if reply["status"] != "ok":
                    raise ConnectionError(reply["message"])
                if (heard := reply.get("audio_ms")) is not None:
                    after = [moment for end, moment in sent.items() if end >= heard - 1]
                    if after:
                        seen.waits.append(time.monotonic() - after[0])
                if reply["type"] == "final_result":
                    texts.append(json.loads(reply["nbest"])[0]["sentence"])
                if reply["type"] == "speech_end":
                    return

        reader = asyncio.create_task(read())
        size, began = int(PORTION_S * SAMPLE_RATE) * 2, time.monotonic()
        for position in range(0, len(pcm), size):
            await asyncio.sleep(max(began + position / 2 / SAMPLE_RATE + PORTION_S - time.monotonic(), 0))
            await socket.send_bytes(pcm[position : position + size])
            sent[(position + size) * 1000 // 2 // SAMPLE_RATE] = time.monotonic()
        await socket.send_json({"signal": "end"})
        await asyncio.wait_for(reader, 30)
        return " ".join(text for text in texts if text)


async def client(url: str, spoken: list[bytes], index: int, until: float, seen: Seen) -> None:
    """Connections, one after the other; the last ends about when it is time."""
    random = np.random.default_rng(index)
    await asyncio.sleep(random.uniform(0, 2))
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < until - CONNECTION_S / 2:
            chosen: list[int] = []
            while sum(len(spoken[i]) for i in chosen) < CONNECTION_S * SAMPLE_RATE * 2:
                chosen.append(int(random.integers(len(spoken))))
            try:
                text = await connection(session, url, b"".join(spoken[i] for i in chosen), seen)
            except Exception as error:  # whatever it is, the server has failed the client
                seen.errors.append(repr(error))
            else:
                seen.sent.append(chosen)
                seen.found.append(text)


async def crowd(url: str, process: psutil.Process, spoken: list[bytes], clients: int, minutes: float) -> Seen:
    seen, until = Seen(), time.monotonic() + 60 * minutes
    tasks = [asyncio.create_task(client(url, spoken, index, until, seen)) for index in range(clients)]
    while time.monotonic() < until - CONNECTION_S / 2:
        seen.resident.append(process.memory_info().rss)
        await asyncio.sleep(1)
    await asyncio.gather(*tasks)
    return seen


def rows(seen: Seen, clients: int, expected: list[str]) -> Iterator[Row]:
    yield Row(f"{clients} clients at the speed of speech: errors", "0", str(len(seen.errors)), not seen.errors)
    right = sum(found == text for found, text in zip(seen.found, expected))
    words = sum(len(text.split()) for text in seen.found)
    shown = f"{right} of {len(expected)} connections, {words} words"
    yield Row("told what a stream alone gives", "all", shown, right == len(expected) > 0)
    waits = np.percentile(seen.waits, [50, 95, 99])
    shown = ", ".join(f"{1000 * wait:.0f}" for wait in waits) + " ms"
    yield Row("from sent to heard: p50, p95, p99", f"p95 {1000 * MAX_WAIT_S:.0f} ms", shown, waits[1] < MAX_WAIT_S)
    settled = np.array(seen.resident[int(len(seen.resident) * WARM_UP_SHARE) :]) / 1e6
    yield growth("resident memory after the first fifth", settled)
    whole = settled[: len(settled) // LOWEST_OF_S * LOWEST_OF_S].reshape(-1, LOWEST_OF_S)
    yield growth(f"the lowest of each {LOWEST_OF_S} s of it", whole.min(1))


def growth(subject: str, megabytes: np.ndarray) -> Row:
    """From end to end of a straight line through the samples."""
    line = np.polynomial.Polynomial.fit(np.arange(len(megabytes)), megabytes, 1)
    first, last = line(0), line(len(megabytes) - 1)
    between = f"between {megabytes.min():.0f} and {megabytes.max():.0f}"
    seen = f"{last / first:.3f}x ({first:.0f} to {last:.0f} MB; {between})"
    return Row(
        f"{subject}, from end to end of a straight line through it", f"{MAX_GROWTH}x", seen, last <= MAX_GROWTH * first
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="model directory")
    parser.add_argument("--data", type=Path, required=True, help="data.list with utterances that clients say")
    parser.add_argument("--clients", type=int, default=50, help="at a time (%(default)s)")
    parser.add_argument("--minutes", type=float, default=10, help="(%(default)s)")
    parser.add_argument("--utterances", type=int, default=40, help="of the list (%(default)s)")
    args, of_server = parser.parse_known_args()
    torch.set_num_threads(1)
    print(machine_line())
    spoken = spoken_pcm(args.data, args.utterances)
    command = [sys.executable, "-m", "wenet_lite.bin.serve", os.fspath(args.model), "--port", "0", *of_server]
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        address = re.search(r"http://(\S+)", server.stdout.readline())
        assert address is not None, "the server did not start"
        url = f"ws://{address[1].rstrip('/')}/ws"
        try:
            seen = asyncio.run(crowd(url, psutil.Process(server.pid), spoken, args.clients, args.minutes))
        finally:
            server.terminate()
    recognizer = Recognizer(args.model)
    expected = [heard_alone(recognizer, b"".join(spoken[i] for i in chosen)) for chosen in seen.sent]
    good = print_rows(rows(seen, args.clients, expected)) and server.returncode == 0
    for error in sorted(set(seen.errors)):
        print(f"error: {error}", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
