"""Reading a recording block by block: hours of audio in the memory of seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import soundfile
import soxr

from wenet_lite.data.audio import complaint, span_in_samples
from wenet_lite.data.audio_source import AudioSource, as_source
from wenet_lite.data.sound_file import SoundFile, known_length, open_sound, undecodable
from wenet_lite.errors import AudioError

_BLOCK_S = 10


def read_blocks(
    source: str | os.PathLike[str] | AudioSource,
    start_s: float | None = None,
    end_s: float | None = None,
    *,
    sample_rate: int,
) -> Iterator[np.ndarray]:
    """Read the first channel of a file, or of a span of it, in blocks of ten seconds.

    Together the blocks are what `read_audio` and `resample` give, to rounding. A file is never held as a whole; the
    output of a command and a member of a tar are, as they are coded.

    Args:
        source: flac, wav, ogg, opus or mp3; a path stands for an `AudioFile`.
        start_s, end_s: the span, in seconds; it ends with the recording at the latest.
        sample_rate: Hz of the blocks.
    Yields:
        (samples,) float32 in [-1, 1].
    Raises:
        AudioError: as `read_audio`.
    """
    source = as_source(source)
    try:
        with open_sound(source) as file:
            rate = file.samplerate
            first, last = span_in_samples(start_s, end_s, rate, known_length(file.frames, source))
            if first == last:
                raise AudioError("holds no audio" + ("" if start_s is None else f" from {start_s} s"), path=str(source))
            resampler = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32") if rate != sample_rate else None
            position = _seek(file, first)
            while position < last:
                samples = file.read(min(rate * _BLOCK_S, last - position), dtype="float32", always_2d=True)[:, 0]
                position += len(samples)
                ends = not len(samples) or position == last
                if fault := complaint(samples):
                    raise AudioError(f"holds {fault}", path=str(source))
                yield samples if resampler is None else resampler.resample_chunk(samples, last=ends)
                if ends:
                    break
            if position < last and file.seekable():
                raise AudioError(f"is truncated: {position - first} of {last - first} samples", path=str(source))
    except (soundfile.LibsndfileError, OSError) as error:
        raise undecodable(source, error) from error


def _seek(file: SoundFile, first: int) -> int:
    """Go to sample `first`, by reading where the format does not seek exactly; returns the position reached."""
    if file.seekable():
        return int(file.seek(first))
    position = 0
    while position < first:
        read = len(file.read(min(file.samplerate * _BLOCK_S, first - position), dtype="float32"))
        if not read:
            break
        position += read
    return position
