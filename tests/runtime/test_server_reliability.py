"""What a server outlives: ill-made messages, rude clients, crowds, and its own end."""

import asyncio
import base64
import io
import json
import os
import socket
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import numpy as np
import psutil
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live_server import END, START, LiveServer, converse, live_server, portions, read_answers

ENDLESS = START | {"continuous_decoding": True, "chunk_ms": 160, "left_chunks": 2}
MESSAGES = st.sampled_from([START, ENDLESS, END, START | {"nbest": []}, START | {"hotwords": ["sol"]}, [END], 7, None])
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def sturdy(served_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that is treated badly; at the end it must have no bug in its log and nobody left."""
    log = tmp_path_factory.mktemp("sturdy") / "log"
    with live_server(served_model, log, "--idle-s", "3", "--max-connections", "300") as running:
        yield running
        nobody_is_left(running)
        assert not [line for line in log.read_text().splitlines() if '"stack"' in line]


def gauges(server: LiveServer) -> dict[str, float]:
    with urllib.request.urlopen(server.url("metrics"), timeout=30) as response:
        lines = response.read().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def nobody_is_left(server: LiveServer, within_s: float = 20.0) -> None:
    until = time.monotonic() + within_s
    while (left := gauges(server))["wenet_lite_connections"] or left["wenet_lite_streams"]:
        assert time.monotonic() < until, left
        time.sleep(0.05)


def rss(server: LiveServer) -> int:
    return int(psutil.Process(server.process.pid).memory_info().rss)


def rss_at_rest(server: LiveServer) -> int:
    """After the last stream has ended, and what it has freed was given back."""
    nobody_is_left(server)
    time.sleep(3)
    return rss(server)


def raw(server: LiveServer) -> socket.socket:
    connected = socket.create_connection(("127.0.0.1", urlsplit(server.address).port or 0), timeout=20)
    key = base64.b64encode(os.urandom(16)).decode()
    connected.sendall(
        f"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    assert connected.recv(4096).startswith(b"HTTP/1.1 101")
    return connected


def frame(payload: bytes, opcode: int) -> bytes:
    """A masked frame; a mask of zeros leaves the payload as it is."""
    return struct.pack("!BBQ4x", 0x80 | opcode, 0x80 | 127, len(payload)) + payload


def text(message: object) -> bytes:
    return frame(json.dumps(message).encode(), 1)


def still_works(server: LiveServer, song: np.ndarray) -> str:
    return asyncio.run(converse(server.url(), START, *portions(song), END)).text


@given(st.lists(MESSAGES | st.binary(max_size=20_000) | st.text(), max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_messages_end_in_a_result_or_a_reason(sturdy: LiveServer, messages: list) -> None:
    sent = [message if isinstance(message, (bytes, str)) else json.dumps(message) for message in messages]
    answers = asyncio.run(converse(sturdy.url(), START, *sent, "enough"))
    assert answers.of("speech_end") or answers.failure


@given(st.binary(min_size=1, max_size=300))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_that_are_no_frames_harm_nobody(sturdy: LiveServer, garbage: bytes) -> None:
    with raw(sturdy) as client:
        client.sendall(text(ENDLESS) + frame(bytes(9000), 2) + garbage)
    with socket.create_connection(("127.0.0.1", urlsplit(sturdy.address).port or 0)) as client:
        client.sendall(garbage)
    assert gauges(sturdy)["wenet_lite_connections"] <= 300


def test_half_closed_sockets_are_given_up(sturdy: LiveServer, songs: list[np.ndarray]) -> None:
    clients = [raw(sturdy) for _ in range(5)]
    for client in clients:
        client.sendall(text(ENDLESS) + frame(songs[0].tobytes(), 2))
        client.shutdown(socket.SHUT_WR)
    nobody_is_left(sturdy)
    for client in clients:
        client.close()


def test_a_flood_is_read_as_fast_as_it_is_heard_and_others_are_served(
    sturdy: LiveServer, songs: list[np.ndarray]
) -> None:
    expected, before = still_works(sturdy, songs[0]), rss(sturdy)
    with raw(sturdy) as flood:
        flood.sendall(text(ENDLESS))
        flood.settimeout(2.0)
        portion, sent, texts = frame(bytes(MEGABYTE // 2), 2), 0, []
        began = time.monotonic()
        try:
            while time.monotonic() - began < 2.0 or len(texts) < 3:
                sent += flood.send(portion[sent % len(portion) :])
                if len(texts) < 3 and time.monotonic() - began > 0.5:
                    texts.append(still_works(sturdy, songs[0]))
        except TimeoutError:
            texts.append(still_works(sturdy, songs[0]))
        heard_s = gauges(sturdy)['wenet_lite_audio_seconds_total{kind="stream"}']
        assert sent / 32000 < heard_s + 10 + 1000  # what waits, and what the kernel's buffers hold
    assert set(texts) == {expected}
    assert rss(sturdy) - before < 100 * MEGABYTE
    nobody_is_left(sturdy)


@pytest.mark.parametrize("times", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_connects_and_disconnects_leave_nothing_behind(sturdy: LiveServer, songs: list[np.ndarray], times: int) -> None:
    def visit(count: int) -> None:
        for number in range(count):
            client = raw(sturdy)
            client.sendall(b"".join([text(ENDLESS), frame(songs[0].tobytes(), 2), text(END)][: number % 4]))
            if number % 3 == 0:  # reset instead of a goodbye
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

    visit(40)
    before = rss_at_rest(sturdy)
    visit(times)
    assert rss_at_rest(sturdy) - before < 15 * MEGABYTE
    assert still_works(sturdy, songs[0])


@pytest.mark.parametrize("clients", [8, pytest.param(60, marks=pytest.mark.slow)])
def test_memory_of_a_crowd_returns(sturdy: LiveServer, songs: list[np.ndarray], clients: int) -> None:
    async def crowd() -> list[str]:
        talks = [converse(sturdy.url(), ENDLESS, *portions(np.concatenate(songs)), END) for _ in range(clients)]
        return [answers.text for answers in await asyncio.gather(*talks)]

    texts = asyncio.run(crowd())
    before = rss_at_rest(sturdy)
    for _ in range(6):
        texts += asyncio.run(crowd())
    assert rss_at_rest(sturdy) - before < 15 * MEGABYTE
    assert len(set(texts)) == 1


def test_who_does_not_read_is_cut_off(sturdy: LiveServer, songs: list[np.ndarray]) -> None:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.settimeout(60)
    with client, pytest.raises(OSError):
        client.connect(("127.0.0.1", urlsplit(sturdy.address).port or 0))
        client.sendall(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        client.sendall(text(ENDLESS | {"chunk_ms": 40, "nbest": 10}))
        for _ in range(2000):
            client.sendall(frame(songs[0].tobytes(), 2))
    nobody_is_left(sturdy)
    assert sturdy.events("refused")[-1]["reason"] == "slow_reader"


@pytest.mark.parametrize(("drain_s", "ending"), [("30", None), ("0.5", "the server is stopping")])
def test_sigterm_lets_streams_end(
    served_model: Path, tmp_path: Path, songs: list[np.ndarray], drain_s: str, ending: str | None
) -> None:
    """Those in time say their last; of the others what was heard is told. Nobody else is let in."""

    async def talk(server: LiveServer) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(server.url()) as client:
            idle = await session.ws_connect(server.url())
            await client.send_json(START)
            await client.send_bytes(songs[0].tobytes())
            while json.loads((await client.receive()).data)["type"] != "partial_result":
                pass
            server.terminate()
            assert (await read_answers(idle)).failure == "the server is stopping"
            async with session.get(server.url("healthz")) as response:
                assert (response.status, await response.text()) == (503, "draining\n")
            async with session.post(server.url("v1/audio/transcriptions"), data={}) as response:
                assert response.status == 503
            assert (await converse(server.url(), START)).failure == "the server is stopping"
            if ending is None:
                await client.send_json(END)
            answers = await read_answers(client)
            assert answers.of("final_result") and answers.failure == ending

    with live_server(served_model, tmp_path / "log", "--drain-s", drain_s) as server:
        asyncio.run(talk(server))
        assert server.process.wait(20) == 0
        assert server.events("stopped")


@pytest.mark.parametrize("given_up_first", [False, True])
def test_a_file_that_outlasts_the_draining_time_does_not_hold_the_server(
    served_model: Path, tmp_path: Path, given_up_first: bool
) -> None:
    """Nor does one that its client no longer waits for."""
    flac = io.BytesIO()
    soundfile.write(flac, np.random.default_rng(0).integers(-3, 4, 8000 * 7000, np.int16), 8000, format="FLAC")

    async def upload(server: LiveServer) -> None:
        async with aiohttp.ClientSession() as session:
            sending = asyncio.create_task(
                session.post(server.url("v1/audio/transcriptions"), data={"file": io.BytesIO(flac.getvalue())})
            )
            while not gauges(server)['wenet_lite_queue_depth{kind="file"}']:
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.5)
            if given_up_first:
                sending.cancel()
                while gauges(server)['wenet_lite_queue_depth{kind="file"}']:
                    await asyncio.sleep(0.1)
            server.terminate()
            with pytest.raises((aiohttp.ClientError, asyncio.CancelledError)):
                await sending

    with live_server(served_model, tmp_path / "log", "--drain-s", "0.2", "--max-file-s", "7200") as server:
        asyncio.run(upload(server))
        assert server.process.wait(20) == 0
