"""A stream's segments come as they end, also where it is interrupted."""

import io
from collections.abc import Iterator

import numpy as np
import pytest

from wenet_lite.runtime.transcribing.live_audio import LiveAudio
from wenet_lite.runtime.transcribing.live_text import LiveText
from wenet_lite.runtime.transcribing.transcription import transcribe_stream
from wenet_lite.runtime.transcript import Transcript


class Session:
    """Ends a segment with each portion, and has a text for the end."""

    partial = ""

    def __init__(self, last: str) -> None:
        self._ended: list[Transcript] = []
        self._last = last

    def accept(self, samples: np.ndarray) -> None:
        self._ended.append(Transcript(f"DO {len(samples)}", 0.0, 1.0))

    def take(self) -> list[Transcript]:
        ended, self._ended = self._ended, []
        return ended

    def finish(self) -> Transcript:
        return Transcript(self._last, 0.0, 1.0)


def texts(last: str, portions: Iterator[np.ndarray]) -> list[str]:
    segments = transcribe_stream(Session(last), LiveAudio(16000, portions), LiveText(io.StringIO()))
    return [segment.text for segment in segments]


@pytest.mark.parametrize(("last", "expected"), [("RE", ["DO 3", "DO 4", "RE"]), ("", ["DO 3", "DO 4"])])
def test_silence_at_the_end_is_no_segment(last: str, expected: list[str]) -> None:
    assert texts(last, iter([np.zeros(3), np.zeros(4)])) == expected


def test_silence_alone_is_one_empty_segment() -> None:
    assert texts("", iter([])) == [""]


def test_an_interrupted_stream_has_its_last_segment() -> None:
    def portions() -> Iterator[np.ndarray]:
        yield np.zeros(3)
        raise KeyboardInterrupt

    heard = []
    with pytest.raises(KeyboardInterrupt):
        for segment in transcribe_stream(Session("RE"), LiveAudio(16000, portions()), LiveText(io.StringIO())):
            heard.append(segment.text)
    assert heard == ["DO 3", "RE"]
