"""WeNet's websocket protocol, and what this server adds to it: messages in, messages out; nothing else happens here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.runtime.sample_rates import STREAM_RATES
from wenet_lite.runtime.server.options import Limits
from wenet_lite.runtime.server.refusals import Reason, Refusal
from wenet_lite.runtime.transcript import Transcript

MAX_CHUNK_MS = 10_000
MAX_LEFT_CHUNKS = 10_000


@dataclass(frozen=True)
class Start:
    """A stream begins.

    Attributes:
        nbest: alternatives of a final result.
        continuous_decoding: the stream goes on after an endpoint.
        sample_rate: Hz.
        chunk_ms: length of a chunk, None for the model's own.
        left_chunks: chunks of history, -1 for all.
        hotwords: phrases to listen for.
        token: the server's, where it was not in the request.
    """

    nbest: int = 1
    continuous_decoding: bool = False
    sample_rate: int = SAMPLE_RATE
    chunk_ms: int | None = None
    left_chunks: int = -1
    hotwords: tuple[str, ...] = ()
    token: str | None = None


@dataclass(frozen=True)
class End:
    """No more audio comes."""


def parse_message(text: str, limits: Limits) -> Start | End:
    """Read a text message; keys that are not known are passed over, as WeNet does.

    Raises:
        Refusal: if it is malformed or asks for too much.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed("the message is not JSON") from error
    if not isinstance(message, dict):
        raise _malformed("Wrong protocol")
    if "signal" not in message:
        raise _malformed("Wrong message header")
    if message["signal"] == "start":
        return _parse_start(message, limits)
    if message["signal"] == "end":
        return End()
    raise _malformed("Unexpected signal type")


def _parse_start(message: Mapping[str, Any], limits: Limits) -> Start:
    continuous = message.get("continuous_decoding", False)
    if not isinstance(continuous, bool):
        raise _malformed("boolean true or false is expected for continuous_decoding option")
    token = message.get("token")
    if token is not None and not isinstance(token, str):
        raise _malformed("string is expected for token option")
    return Start(
        nbest=_integer(message, "nbest", 1, range(1, 1001)),
        continuous_decoding=continuous,
        sample_rate=_integer(message, "sample_rate", SAMPLE_RATE, STREAM_RATES),
        chunk_ms=_integer(message, "chunk_ms", 0, range(1, MAX_CHUNK_MS + 1)) or None,
        left_chunks=_integer(message, "left_chunks", -1, range(-1, MAX_LEFT_CHUNKS + 1)),
        hotwords=check_hotwords(message.get("hotwords", []), limits),
        token=token,
    )


def check_hotwords(phrases: object, limits: Limits) -> tuple[str, ...]:
    """The phrases, if there are not too many.

    Raises:
        Refusal: if they are no list of strings, or too many or too long.
    """
    if not isinstance(phrases, list) or not all(isinstance(phrase, str) for phrase in phrases):
        raise Refusal(Reason.MALFORMED, "list of strings is expected for hotwords option", field="hotwords")
    if len(phrases) > limits.hotwords:
        raise Refusal(Reason.TOO_LARGE, f"at most {limits.hotwords} hotwords are taken", field="hotwords")
    if any(len(phrase) > limits.hotword_chars for phrase in phrases):
        message = f"a hotword has at most {limits.hotword_chars} characters"
        raise Refusal(Reason.TOO_LARGE, message, field="hotwords")
    return tuple(phrases)


def server_ready() -> str:
    """A stream can be sent."""
    return _message(status="ok", type="server_ready")


def partial_result(text: str, heard_s: float) -> str:
    """What is heard so far of a segment.

    Args:
        text: the best guess.
        heard_s: seconds of the stream's audio that were heard.
    """
    nbest = _compact([{"sentence": text}])
    return _message(status="ok", type="partial_result", nbest=nbest, audio_ms=round(heard_s * 1000))


def final_result(transcript: Transcript, nbest: int, heard_s: float) -> str:
    """A segment that has ended; words that have times have them in the stream, those of the best alternative alone.

    Args:
        transcript: of the segment.
        nbest: alternatives to tell of.
        heard_s: seconds of the stream's audio that were heard.
    """
    words = [
        {
            "word": word.text,
            "start": round(word.start_s * 1000),
            "end": round(word.end_s * 1000),
            "confidence": round(word.confidence, 4),
        }
        for word in transcript.timed
    ]
    sentences: list[dict[str, Any]] = [{"sentence": transcript.text, "word_pieces": words}]
    sentences += [{"sentence": other.text, "word_pieces": []} for other in transcript.nbest[1:nbest]]
    return _message(status="ok", type="final_result", nbest=_compact(sentences), audio_ms=round(heard_s * 1000))


def speech_end() -> str:
    """Nothing more comes."""
    return _message(status="ok", type="speech_end")


def failed(message: str) -> str:
    """The connection ends here; `message` says why."""
    return _message(status="failed", message=message)


def _integer(message: Mapping[str, Any], name: str, default: int, allowed: range) -> int:
    value = message.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _malformed(f"integer is expected for {name} option")
    if name in message and value not in allowed:
        raise _malformed(f"{name} must be from {allowed[0]} to {allowed[-1]}")
    return value


def _malformed(message: str) -> Refusal:
    return Refusal(Reason.MALFORMED, message)


def _message(**keys: object) -> str:
    return _compact(keys)


def _compact(tree: object) -> str:
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
