"""The file API: the recogniser's text in every form, and refusals in that API's words."""

import asyncio
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import soundfile
from live_server import LiveServer

from wenet_lite.runtime.recognizer import Recognizer

PATH = "v1/audio/transcriptions"


def post(server: LiveServer, *fields: tuple[str, Any]) -> tuple[int, str, str]:
    """Status, content type and body."""

    async def request() -> tuple[int, str, str]:
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in fields:
            form.add_field(name, value, filename="a.wav" if isinstance(value, bytes) else None)
        async with aiohttp.ClientSession() as session, session.post(server.url(PATH), data=form) as response:
            return response.status, response.content_type, await response.text()

    return asyncio.run(request())


def wav(seconds: float, rate: int = 16000, channels: int = 1, form: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((int(seconds * rate), channels), np.int16), rate, format=form)
    return file.getvalue()


def test_the_text_is_the_recognizers(server: LiveServer, local: Recognizer, wavs: list[Path]) -> None:
    for path in wavs:
        status, kind, body = post(server, ("file", path.read_bytes()), ("model", "toy"), ("language", "en"))
        assert (status, kind) == (200, "application/json")
        assert json.loads(body) == {"text": local.transcribe(path).text}


def test_hotwords_are_heard(server: LiveServer, local: Recognizer, wavs: list[Path]) -> None:
    phrases = ["sol sol", "re"]
    for fields in [[("hotwords[]", phrase) for phrase in phrases], [("hotwords", "\n".join(phrases))]]:
        _, _, body = post(server, ("file", wavs[1].read_bytes()), ("response_format", "text"), *fields)
        assert body == local.transcribe(wavs[1], hotwords=phrases).text + "\n"


def test_verbose_json_has_words_and_segments(server: LiveServer, local: Recognizer, wavs: list[Path]) -> None:
    asked = [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")]
    _, _, body = post(server, ("file", wavs[0].read_bytes()), ("response_format", "verbose_json"), *asked)
    answer, transcript = json.loads(body), local.transcribe(wavs[0])
    assert answer["text"] == transcript.text and answer["duration"] == round(transcript.duration, 3)
    assert [word["word"] for word in answer["words"]] == transcript.text.split()
    assert answer["segments"][0]["start"] == answer["words"][0]["start"]
    _, _, body = post(server, ("file", wavs[0].read_bytes()), ("response_format", "verbose_json"))
    assert "words" not in json.loads(body) and "segments" in json.loads(body)


@pytest.mark.parametrize(
    ("form", "kind", "begins"), [("srt", "text/plain", "1\n00:00:"), ("vtt", "text/vtt", "WEBVTT\n\n00:00:")]
)
def test_subtitles(server: LiveServer, wavs: list[Path], form: str, kind: str, begins: str) -> None:
    status, content_type, body = post(server, ("file", wavs[0].read_bytes()), ("response_format", form))
    assert (status, content_type) == (200, kind) and body.startswith(begins)


@pytest.mark.parametrize(
    ("fields", "status", "code", "message"),
    [
        ([], 400, "malformed", "the form has no file, or an empty one"),
        ([("file", b"")], 400, "malformed", "the form has no file, or an empty one"),
        ([("file", b"RIFF")], 400, "undecodable", "the file: cannot be decoded: Format not recognised"),
        ([("file", wav(0))], 400, "undecodable", "the file: holds no audio"),
        ([("file", wav(1, 300_000))], 400, "undecodable", "the file must have 1000 to 192000 Hz and at most 16"),
        ([("file", wav(0.1, channels=17))], 400, "undecodable", "the file must have 1000 to 192000 Hz and at most 16"),
        ([("file", bytes(3_000_001))], 413, "too_large", "the file has more than 3000000 bytes"),
        ([("file", wav(3600, form="FLAC"))], 413, "too_long", "the file is longer than 60 s"),
        ([("file", b"x"), ("model", "whisper-1")], 404, "unknown_model", "the model here is toy"),
        ([("file", b"x"), ("response_format", "xml")], 400, "malformed", "response_format must be one of json, text"),
        ([("file", b"x"), ("timestamp_granularities[]", "no")], 400, "malformed", "timestamp_granularities[] are"),
        ([("file", b"x"), ("stream", "true")], 400, "malformed", "stream is for the websocket"),
        ([("file", b"x"), ("prompt", "x" * 70_000)], 413, "too_large", "a field has at most 65536 bytes"),
        ([("file", b"x"), *[("hotwords[]", "a")] * 6], 413, "too_large", "at most 5 hotwords are taken"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refusals_are_that_apis_errors(server: LiveServer, fields: list, status: int, code: str, message: str) -> None:
    answer = post(server, *fields)
    assert answer[:2] == (status, "application/json")
    error = json.loads(answer[2])["error"]
    assert error["code"] == code and error["message"].startswith(message)
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body", ["", "--x", "--x\r\n\r\n", "--x\r\nContent-Disposition: form-data\r\n\r\nhello\r\n--x--"]
)
def test_a_broken_form_is_refused(server: LiveServer, body: str) -> None:
    kind = "Content-Type: multipart/form-data; boundary=x"
    command = ["curl", "-s", "-H", kind, "--data-binary", body, server.url(PATH)]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert answer["error"]["code"] == "malformed"


def test_models_health_page_and_metrics(server: LiveServer) -> None:
    async def get() -> dict[str, tuple[int, str, Any]]:
        found = {}
        async with aiohttp.ClientSession() as session:
            for path in ("", "healthz", "metrics", "v1/models", "none"):
                async with session.get(server.url(path)) as response:
                    found[path] = response.status, await response.text(), response.headers
        return found

    found = asyncio.run(get())
    assert json.loads(found["v1/models"][1])["data"][0]["id"] == "toy"
    assert found["healthz"][:2] == (200, "ok\n") and found["none"][0] == 404
    assert "<html" in found[""][1] and "default-src 'none'" in found[""][2]["Content-Security-Policy"]
    for name in ("connections 0.0", 'audio_seconds_total{kind="stream"}', "chunk_latency_seconds_bucket", "refusals"):
        assert f"wenet_lite_{name}" in found["metrics"][1]
