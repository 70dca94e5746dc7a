"""Inputs to transcripts: many files one after the other, or one stream while it comes in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from wenet_lite.decoding.hotword_list import Phrase
from wenet_lite.decoding.options import DecodingMode
from wenet_lite.errors import AudioError, InputError
from wenet_lite.runtime.recognizer import Recognizer
from wenet_lite.runtime.session import StreamingSession
from wenet_lite.runtime.transcribing.audio_inputs import STANDARD_INPUT, AudioInput
from wenet_lite.runtime.transcribing.live_audio import LiveAudio
from wenet_lite.runtime.transcribing.live_text import LiveText
from wenet_lite.runtime.transcript import Transcript

Failure = AudioError | InputError
"""What is wrong with an input; others can still be recognised."""
_TOGETHER = {"cpu": 8, "cuda": 32}
"""Files that are heard at a time; a CPU gains nothing by more."""


def transcribe_files(
    recognizer: Recognizer, inputs: Sequence[AudioInput], mode: DecodingMode, hotwords: Sequence[Phrase]
) -> Iterator[tuple[AudioInput, Transcript | Failure]]:
    """Recognise files, several together, in their order.

    Yields:
        each file with its transcript, or with what is wrong with it.
    """
    size = _TOGETHER[recognizer.backend.device.type]
    for first in range(0, len(inputs), size):
        group = inputs[first : first + size]
        names = [each.name for each in group]
        results: Sequence[Transcript | Failure]
        try:
            results = recognizer.transcribe(names, mode=mode, hotwords=hotwords)
        except (AudioError, InputError) as error:
            alone = len(names) == 1
            results = [error] if alone else [_one(recognizer, name, mode, hotwords) for name in names]
        yield from zip(group, results)


def _one(recognizer: Recognizer, name: str, mode: DecodingMode, hotwords: Sequence[Phrase]) -> Transcript | Failure:
    try:
        return recognizer.transcribe(name, mode=mode, hotwords=hotwords)
    except (AudioError, InputError) as error:
        return error


def transcribe_standard_input(
    recognizer: Recognizer, audio: LiveAudio, mode: DecodingMode, hotwords: Sequence[Phrase]
) -> Iterator[tuple[AudioInput, Transcript | Failure]]:
    """Recognise standard input as one recording, which is read to its end first; yields as `transcribe_files`."""
    try:
        samples = np.concatenate(list(audio.portions))
        yield (
            STANDARD_INPUT,
            recognizer.transcribe(samples, mode=mode, hotwords=hotwords, sample_rate=audio.sample_rate),
        )
    except (AudioError, InputError) as error:
        yield STANDARD_INPUT, error


def transcribe_stream(session: StreamingSession, audio: LiveAudio, shown: LiveText) -> Iterator[Transcript]:
    """Recognise a stream while it comes in; Ctrl-C ends it where it is.

    Args:
        session: of the audio's rate, fresh.
        audio: portion by portion.
        shown: where partial results are seen.
    Yields:
        segments as they end; an empty one where there is none else.
    Raises:
        AudioError, InputError: if it is no audio.
        KeyboardInterrupt: after the last segment, if the stream was interrupted.
    """
    interrupt: KeyboardInterrupt | None = None
    num_samples, heard_any = 0, False
    try:
        for portion in audio.portions:
            session.accept(portion)
            num_samples += len(portion)
            for segment in session.take():
                shown.clear()
                heard_any = True
                yield segment
            shown.show(num_samples / audio.sample_rate, session.partial)
    except KeyboardInterrupt as error:
        interrupt = error
    last = session.finish()
    shown.clear()
    if last.text or not heard_any:
        yield last
    if interrupt:
        raise interrupt
