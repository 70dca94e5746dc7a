"""Websockets: clients of WeNet's protocol get what the recogniser says."""

import asyncio
import json

import numpy as np
import pytest
from live_server import END, START, LiveServer, converse, portions

from wenet_lite.data.audio import resample
from wenet_lite.runtime.recognizer import Recognizer
from wenet_lite.runtime.server.options import WENET_ENDPOINTING


@pytest.fixture(scope="module")
def long_song(songs: list[np.ndarray]) -> np.ndarray:
    """More than rule 3 lets an utterance have."""
    return np.concatenate(songs * 10)[: 16000 * 45]


def expected(local: Recognizer, samples: np.ndarray, **options) -> str:
    session = local.stream(endpointing=WENET_ENDPOINTING, **options)
    session.accept(samples)
    return session.finish().text


@pytest.mark.parametrize("path", ["", "ws"])
def test_a_stream_has_the_messages_that_wenets_client_waits_for(
    server: LiveServer, local: Recognizer, songs: list[np.ndarray], path: str
) -> None:
    answers = asyncio.run(converse(server.url(path), START, *portions(songs[0]), END))
    kinds = [message["type"] for message in answers.messages]
    assert kinds[0] == "server_ready" and kinds[-2:] == ["final_result", "speech_end"]
    assert set(kinds[1:-2]) <= {"partial_result"} and answers.close_code == 1000
    assert all(message["status"] == "ok" for message in answers.messages)
    assert answers.text == expected(local, songs[0]) != ""
    final = answers.of("final_result")[0]
    assert final["audio_ms"] == round(len(songs[0]) / 16)
    pieces = json.loads(final["nbest"])[0]["word_pieces"]
    assert all(0 <= piece["start"] < piece["end"] <= final["audio_ms"] + 1 for piece in pieces)


def test_clients_at_once_get_what_each_would_get_alone(
    server: LiveServer, local: Recognizer, songs: list[np.ndarray]
) -> None:
    """Of several chunks, histories and hotwords, in portions that are no whole samples."""
    asked = [{}, {"chunk_ms": 320, "left_chunks": 2}, {"hotwords": ["sol sol", "do"]}, {"chunk_ms": 160}] * 3

    async def all_together() -> list[str]:
        clients = [
            converse(server.url(), START | options, *split(songs[i % len(songs)].tobytes(), 3001), END)
            for i, options in enumerate(asked)
        ]
        return [answers.text for answers in await asyncio.gather(*clients)]

    texts = asyncio.run(all_together())
    assert texts == [expected(local, songs[i % len(songs)], **options) for i, options in enumerate(asked)]


def split(audio: bytes, length: int) -> list[bytes]:
    return [audio[i : i + length] for i in range(0, len(audio), length)]


def test_another_sample_rate_is_resampled(server: LiveServer, local: Recognizer, songs: list[np.ndarray]) -> None:
    narrow = (resample(songs[0] / np.float32(32768), 16000, 8000) * 32767).astype(np.int16)
    session = local.stream(8000)
    session.accept(narrow)
    answers = asyncio.run(converse(server.url(), START | {"sample_rate": 8000}, *portions(narrow), END))
    assert answers.text == session.finish().text
    assert answers.of("final_result")[0]["audio_ms"] == pytest.approx(len(narrow) / 8, abs=1)


def test_the_first_endpoint_ends_a_stream(server: LiveServer, long_song: np.ndarray) -> None:
    """What comes after it is not heard, and does no harm."""
    answers = asyncio.run(converse(server.url(), START, *portions(long_song), END))
    assert [message["type"] for message in answers.messages if message["type"] != "partial_result"] == [
        "server_ready",
        "final_result",
        "speech_end",
    ]
    assert answers.of("final_result")[0]["audio_ms"] < 30_000


def test_continuous_decoding_goes_on(server: LiveServer, local: Recognizer, long_song: np.ndarray) -> None:
    answers = asyncio.run(converse(server.url(), START | {"continuous_decoding": True}, *portions(long_song), END))
    finals = answers.of("final_result")
    assert len(finals) >= 3 and finals[-1]["audio_ms"] == 45_000
    assert answers.text.split() == expected(local, long_song).split()
    starts = [piece["start"] for final in finals for piece in json.loads(final["nbest"])[0]["word_pieces"]]
    assert starts == sorted(starts) and starts[-1] > 20_000


@pytest.mark.parametrize("audio", [[], [b""], [b"\0"]])
def test_a_stream_without_audio_has_an_empty_result(server: LiveServer, audio: list[bytes]) -> None:
    answers = asyncio.run(converse(server.url(), START, *audio, END))
    assert [message["type"] for message in answers.messages] == ["server_ready", "final_result", "speech_end"]
    assert json.loads(answers.of("final_result")[0]["nbest"]) == [{"sentence": "", "word_pieces": []}]


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        (["what?"], "the message is not JSON"),
        ([b"\0\0"], "Start signal is expected before binary data"),
        ([END], "Start signal is expected before end signal"),
        ([START, START], "the stream has begun already; one connection is one stream"),
        ([START, b"\0" * 400_001], "a message has at most 400000 bytes"),
        ([START | {"hotwords": ["a"] * 6}], "at most 5 hotwords are taken"),
        ([START | {"chunk_ms": 50}], "a chunk of 50 ms is no multiple of 40 ms, an encoder frame"),
    ],
)
def test_what_is_refused_is_told_and_closed(server: LiveServer, messages: list, complaint: str) -> None:
    answers = asyncio.run(converse(server.url(), *messages))
    assert answers.messages[-1] == {"status": "failed", "message": complaint}
    assert answers.close_code in (1008, 1009)


def test_a_stream_that_is_too_long_has_results_first(server: LiveServer) -> None:
    start, silence = START | {"continuous_decoding": True}, [bytes(32000 * 10)] * 7
    answers = asyncio.run(converse(server.url(), start, *silence))
    assert answers.failure == "a stream has at most 60 s of audio"
    assert answers.of("final_result")[-1]["audio_ms"] == 60_000
