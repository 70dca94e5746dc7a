"""Tokens, origins, TLS, and limits of time and number."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import numpy as np
import pytest
from live_server import END, START, LiveServer, converse, live_server, portions, read_answers

from wenet_lite.bin import serve
from wenet_lite.errors import ConfigError
from wenet_lite.runtime.server.listener import listen
from wenet_lite.runtime.server.options import ServerOptions

TOKEN = "correct horse"
FULL = "2 connections are open; try again later"


@pytest.fixture(scope="module")
def guarded(served_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a token, TLS, and little patience."""
    folder = tmp_path_factory.mktemp("guarded")
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subject = ["-subj", "/CN=localhost", "-days", "1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    options = ["--certificate", str(folder / "cert.pem"), "--key", str(folder / "key.pem")]
    options += [
        "--idle-s",
        "1",
        "--max-connections",
        "2",
        "--max-files",
        "1",
        "--max-upload-s",
        "1",
        "--allow-origin",
        "https://ours.example",
    ]
    environment = os.environ | {serve.TOKEN_VARIABLE: TOKEN}
    with live_server(served_model, folder / "log", *options, environment=environment) as running:
        yield running


def get(server: LiveServer, path: str, **headers: str) -> int:
    async def request() -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.get(server.url(path), headers=headers, ssl=False) as response,
        ):
            return response.status

    return asyncio.run(request())


def test_tls_is_spoken_and_the_token_not_logged(guarded: LiveServer, songs: list[np.ndarray]) -> None:
    assert guarded.address.startswith("https://")
    answers = asyncio.run(converse(guarded.url("ws?token=correct+horse"), START, *portions(songs[0]), END, ssl=False))
    assert answers.of("final_result")
    assert "horse" not in guarded.log.read_text() and answers.text not in guarded.log.read_text()
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        asyncio.run(converse(guarded.url(), START))


def test_files_and_figures_want_the_token(guarded: LiveServer) -> None:
    assert [get(guarded, path) for path in ("healthz", "", "metrics", "v1/models")] == [200, 200, 401, 401]
    assert get(guarded, "metrics", Authorization=f"Bearer {TOKEN}") == 200
    assert get(guarded, "metrics?token=correct+horse") == 200
    assert get(guarded, "metrics", Authorization="Bearer wrong") == 401
    assert get(guarded, "metrics", Upgrade="websocket", Connection="Upgrade") == 401


def test_a_websocket_tells_the_token_in_its_request_or_first_message(guarded: LiveServer) -> None:
    taken = asyncio.run(converse(guarded.url(), START | {"token": TOKEN}, END, ssl=False))
    assert taken.of("speech_end")
    for start in (START, START | {"token": "wrong"}, START | {"token": "\ud800"}):
        refused = asyncio.run(converse(guarded.url(), start, ssl=False))
        assert (refused.failure, refused.close_code) == ("the token is missing or wrong", 1008)
    with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
        asyncio.run(converse(guarded.url("?token=wrong"), START, ssl=False))


def test_pages_from_elsewhere_are_not_served(guarded: LiveServer) -> None:
    own = guarded.address.rstrip("/")
    for origin in (own, "https://ours.example"):
        assert asyncio.run(converse(guarded.url(), START | {"token": TOKEN}, END, ssl=False, origin=origin)).messages
    for origin in ("https://evil.example", "null", "https://[", own.replace("127.0.0.1", "127.0.0.1.evil.example")):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            asyncio.run(converse(guarded.url(), ssl=False, origin=origin))


def test_who_says_nothing_is_sent_away_and_who_comes_too_late_told(guarded: LiveServer) -> None:
    async def crowd() -> list[str | None]:
        async with aiohttp.ClientSession() as session:
            sockets = [await session.ws_connect(guarded.url(), ssl=False) for _ in range(3)]
            return [(await read_answers(socket)).failure for socket in sockets]

    assert asyncio.run(crowd()) == ["no message came for 1 s"] * 2 + [FULL]
    assert asyncio.run(converse(guarded.url(), START | {"token": TOKEN}, END, ssl=False)).of("speech_end")


def test_uploads_have_a_place_and_a_time(guarded: LiveServer) -> None:
    async def slowly() -> list[tuple[int, str]]:
        async def trickle():
            for _ in range(30):
                yield b"--x\r\n"
                await asyncio.sleep(0.1)

        async def post(session: aiohttp.ClientSession) -> tuple[int, str]:
            headers = {"Content-Type": "multipart/form-data; boundary=x", "Authorization": f"Bearer {TOKEN}"}
            url = guarded.url("v1/audio/transcriptions")
            async with session.post(url, data=trickle(), headers=headers, ssl=False) as response:
                return response.status, (await response.json())["error"]["message"]

        async with aiohttp.ClientSession() as session:
            first = asyncio.create_task(post(session))
            await asyncio.sleep(0.3)
            return [await post(session), await first]

    full, late = asyncio.run(slowly())
    assert full == (503, "1 files are under way; try again later")
    assert late == (408, "the upload took more than 1 s")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--certificate", "c.pem"], "serve: certificate and key are needed together (see --help)\n"),
        (["--token", ""], "serve: an empty token lets everybody in (see --help)\n"),
        (["--port", "99999"], "serve: port must be from 0 to 65535, not 99999 (see --help)\n"),
        (["--idle-s", "0"], "serve: idle_s must be more than 0 (see --help)\n"),
    ],
)
def test_options_that_make_no_sense_are_one_line(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        serve.main(["model", *options])
    assert (ended.value.code, capsys.readouterr().err) == (1, complaint)


def test_help_keeps_the_token_to_itself(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(serve.TOKEN_VARIABLE, TOKEN)
    with pytest.raises(SystemExit):
        serve.main(["--help"])
    assert TOKEN not in capsys.readouterr().out


def test_a_port_that_is_taken_is_told_before_the_model_is_loaded(server: LiveServer) -> None:
    port = urlsplit(server.address).port
    with (
        pytest.raises(ConfigError, match=f"cannot listen at 127.0.0.1:{port}: Address already in use"),
        listen(ServerOptions("model", port=port or 0)),
    ):
        pass


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    options = ServerOptions("model", port=0, certificate=tmp_path / "none.pem", key=tmp_path / "key.pem")
    with pytest.raises(ConfigError, match=r"none\.pem: certificate and key cannot be used"), listen(options):
        pass
