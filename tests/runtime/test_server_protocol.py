"""Messages of the websocket: what is taken, and in which words the rest is refused."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenet_lite.decoding.words import UntimedWord, Word
from wenet_lite.runtime.server import protocol
from wenet_lite.runtime.server.options import Limits
from wenet_lite.runtime.server.outbox import Outbox
from wenet_lite.runtime.server.protocol import End, Start, parse_message
from wenet_lite.runtime.server.refusals import Refusal
from wenet_lite.runtime.transcript import Alternative, Transcript

LIMITS = Limits(hotwords=2, hotword_chars=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
KEYS = st.sampled_from([*Start.__dataclass_fields__, "signal"])


def test_the_messages_of_wenets_client_are_taken() -> None:
    start = parse_message('{"signal":"start","nbest":3,"continuous_decoding":true}', LIMITS)
    assert start == Start(nbest=3, continuous_decoding=True)
    assert parse_message('{"signal":"end"}', LIMITS) == End()


def test_what_is_ours_is_taken_and_what_is_unknown_passed_over() -> None:
    ours = {"sample_rate": 8000, "hotwords": ["sol"], "chunk_ms": 320, "left_chunks": 4, "token": "t"}
    start = parse_message(json.dumps({"signal": "start", "other": 1, **ours}), LIMITS)
    assert start == Start(sample_rate=8000, hotwords=("sol",), chunk_ms=320, left_chunks=4, token="t")


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ("hello", "the message is not JSON"),
        ("[" * 100_000, "the message is not JSON"),
        ("[1]", "Wrong protocol"),
        ("{}", "Wrong message header"),
        ('{"signal": ["start"]}', "Unexpected signal type"),
        ('{"signal":"start","nbest":"1"}', "integer is expected for nbest option"),
        ('{"signal":"start","nbest":true}', "integer is expected for nbest option"),
        ('{"signal":"start","nbest":0}', "nbest must be from 1 to 1000"),
        (
            '{"signal":"start","continuous_decoding":1}',
            "boolean true or false is expected for continuous_decoding option",
        ),
        ('{"signal":"start","sample_rate":800}', "sample_rate must be from 8000 to 96000"),
        ('{"signal":"start","chunk_ms":0}', "chunk_ms must be from 1 to 10000"),
        ('{"signal":"start","hotwords":"sol"}', "list of strings is expected for hotwords option"),
        ('{"signal":"start","hotwords":["a","b","c"]}', "at most 2 hotwords are taken"),
        ('{"signal":"start","hotwords":["sol re"]}', "a hotword has at most 5 characters"),
        ('{"signal":"start","token":7}', "string is expected for token option"),
    ],
)
def test_malformed_messages_are_refused_in_one_line(message: str, complaint: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_message(message, LIMITS)
    assert refused.value.message == complaint


@given(
    st.text() | JSON.map(json.dumps) | st.dictionaries(KEYS, JSON).map(lambda m: json.dumps({"signal": "start"} | m))
)
def test_no_message_does_worse_than_being_refused(message: str) -> None:
    try:
        parsed = parse_message(message, LIMITS)
    except Refusal as refusal:
        assert "\n" not in refusal.message
    else:
        assert isinstance(parsed, (Start, End))


def test_a_final_result_has_wenets_keys_and_milliseconds_of_the_stream() -> None:
    words = (Word("DO", 1.0, 1.25, 0.98765), UntimedWord("RE"))
    alternatives = (Alternative("DO RE", -1.0), Alternative("DO", -2.0), Alternative("RE", -3.0))
    message = json.loads(protocol.final_result(Transcript("DO RE", -1.0, 2.0, words, alternatives, 0.5), 2, 2.5004))
    assert json.loads(message.pop("nbest")) == [
        {"sentence": "DO RE", "word_pieces": [{"word": "DO", "start": 1000, "end": 1250, "confidence": 0.9877}]},
        {"sentence": "DO", "word_pieces": []},
    ]
    assert message == {"status": "ok", "type": "final_result", "audio_ms": 2500}


def test_a_slow_reader_finds_all_finals_and_the_newest_partial() -> None:
    async def read() -> list[str]:
        outbox, read = Outbox(2), []

        async def send(message: str) -> None:
            read.append(message)

        outbox.put_partial("p1")
        assert outbox.put("f1") and outbox.put("f2") and not outbox.put("f3")
        outbox.put_partial("p2")
        outbox.put_partial("p3")
        outbox.close()
        await outbox.send_all(send, 1.0)
        return read

    assert asyncio.run(read()) == ["f1", "f2", "f3", "p3"]
