"""A stream that is heard at once, by one caller."""

from __future__ import annotations

import numpy as np

from wenet_lite.runtime.stepper import StreamStepper
from wenet_lite.runtime.stream import Stream
from wenet_lite.runtime.transcript import Transcript, joined


class StreamingSession:
    """One stream: audio in, in any portions; a partial text at any time; the final text at the end.

    Args:
        stream: what is heard.
        stepper: hears it.
    """

    def __init__(self, stream: Stream, stepper: StreamStepper) -> None:
        self._stream, self._stepper = stream, stepper
        self._ended: list[Transcript] = []

    @property
    def partial(self) -> str:
        """Best text so far of the utterance that is spoken."""
        return self._stream.partial

    def accept(self, samples: np.ndarray) -> None:
        """Take the next (n,) samples: floats in [-1, 1] or integers, which are scaled by their type.

        Raises:
            InputError: for samples that are not finite, not one channel, or come after the end.
        """
        self._stream.accept(samples)
        self._hear()

    def take(self) -> list[Transcript]:
        """Transcripts of the utterances that have ended and were not taken yet; the attention decoder chose them."""
        ended, self._ended = self._ended, []
        return ended

    def finish(self) -> Transcript:
        """End the stream: what is left of the audio is heard; returns all that was not taken, as one transcript."""
        self._stream.end()
        self._hear()
        return joined(self.take())

    def _hear(self) -> None:
        while self._stream.ready:
            self._stepper.step([self._stream])
        self._ended.extend(self._stream.take())
