"""What recognition answers: text, words with times and confidence, alternatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wenet_lite.decoding.calibration import Calibration
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.decoding.recognized_words import recognized_words
from wenet_lite.decoding.words import UntimedWord, Word, WordTiming, join_words
from wenet_lite.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Alternative:
    """Attributes:
    text: a reading of the audio.
    score: natural log.
    """

    text: str
    score: float


@dataclass(frozen=True)
class Transcript:
    """Attributes:
    text: the recognised words.
    score: of the best reading, natural log.
    duration: seconds of audio heard.
    words: of the text, in order; times in seconds from the beginning of the file or stream.
    nbest: readings, best first; where segments were joined, their best alone.
    start: seconds from the beginning of the stream to the beginning of this.
    """

    text: str
    score: float
    duration: float
    words: tuple[Word | UntimedWord, ...] = ()
    nbest: tuple[Alternative, ...] = ()
    start: float = 0.0

    @property
    def timed(self) -> list[Word]:
        """The words that have times."""
        return [word for word in self.words if isinstance(word, Word)]


class Transcriber:
    """Turns hypotheses into transcripts.

    Args:
        tokenizer: of the model's units.
        frame_ms: milliseconds from one encoder frame to the next.
        calibration: of the words' confidences; None leaves them raw.
    """

    def __init__(self, tokenizer: Tokenizer, frame_ms: int, calibration: Calibration | None = None) -> None:
        self._tokenizer, self._units = tokenizer, list(tokenizer.units)
        self._frame_ms, self._calibration = frame_ms, calibration
        self._timing = WordTiming()

    def __call__(self, nbest: Sequence[Hypothesis], duration: float, start: float = 0.0) -> Transcript:
        """The transcript of an utterance.

        Args:
            nbest: best first; the best has spans.
            duration: seconds of audio.
            start: seconds from the beginning of the stream.
        """
        found = recognized_words(nbest, self._units, self._frame_ms, duration, self._timing)
        words = [word if isinstance(word, UntimedWord) else word.judged(self._calibration) for word in found]
        alternatives = tuple(Alternative(self._tokenizer.decode(hyp.tokens), hyp.score) for hyp in nbest)
        best = alternatives[0]
        return Transcript(
            best.text, best.score, duration, tuple(_later(word, start) for word in words), alternatives, start
        )


def joined(segments: Sequence[Transcript]) -> Transcript:
    """Segments of a stream, one after the other, as one transcript."""
    if not segments:
        return Transcript("", 0.0, 0.0)
    if len(segments) == 1:
        return segments[0]
    text = join_words([segment.text for segment in segments if segment.text])
    score = sum(segment.score for segment in segments)
    words = tuple(word for segment in segments for word in segment.words)
    start = segments[0].start
    end = segments[-1].start + segments[-1].duration
    return Transcript(text, score, end - start, words, (Alternative(text, score),), start)


def _later(word: Word | UntimedWord, seconds: float) -> Word | UntimedWord:
    if isinstance(word, UntimedWord) or not seconds:
        return word
    return replace(word, start_s=round(word.start_s + seconds, 3), end_s=round(word.end_s + seconds, 3))
