"""The forms of a file's transcript."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

from wenet_lite.decoding.subtitles import cues, to_srt, to_vtt
from wenet_lite.runtime.transcript import Transcript

Format = Literal["json", "text", "srt", "vtt", "verbose_json"]
FORMATS: tuple[Format, ...] = get_args(Format)
GRANULARITIES = ("segment", "word")


@dataclass(frozen=True)
class Body:
    """Attributes:
    text: of the response.
    content_type: MIME.
    """

    text: str
    content_type: str


def render(transcript: Transcript, name: Format, granularities: Collection[str], language: str | None) -> Body:
    """A transcript in the form that was asked for.

    Args:
        transcript: of the file.
        name: of the form.
        granularities: of verbose_json, any of `GRANULARITIES`.
        language: of the speech, as the client says.
    """
    if name == "json":
        return _json({"text": transcript.text})
    if name == "verbose_json":
        return _json(_verbose(transcript, granularities, language))
    if name == "text":
        return Body(transcript.text + "\n", "text/plain")
    lines = cues(transcript.timed)
    return Body(to_srt(lines), "text/plain") if name == "srt" else Body(to_vtt(lines), "text/vtt")


def _verbose(transcript: Transcript, granularities: Collection[str], language: str | None) -> dict[str, Any]:
    tree: dict[str, Any] = {"task": "transcribe", "language": language, "duration": round(transcript.duration, 3)}
    tree["text"] = transcript.text
    if "segment" in granularities:
        tree["segments"] = [
            {"id": number, "start": cue.start_s, "end": cue.end_s, "text": cue.text}
            for number, cue in enumerate(cues(transcript.timed))
        ]
    if "word" in granularities:
        tree["words"] = [
            {"word": word.text, "start": word.start_s, "end": word.end_s, "confidence": round(word.confidence, 4)}
            for word in transcript.timed
        ]
    return tree


def _json(tree: dict[str, Any]) -> Body:
    return Body(json.dumps(tree, ensure_ascii=False), "application/json")
