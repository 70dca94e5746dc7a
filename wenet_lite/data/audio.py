"""Reading audio: its length, its samples, their rate."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass

import numpy as np
import soundfile

from wenet_lite.data.audio_source import AudioFile, AudioSource, as_source
from wenet_lite.data.sound_file import SoundFile, known_length, open_sound, undecodable
from wenet_lite.errors import AudioError, InputError

_PORTION = 1 << 23  # samples over all channels
_LOUDEST = 1e6
"""Full scale is 1; some write floats in the range of integers, but beyond this features overflow."""


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header tells.

    Attributes:
        num_samples: samples a channel.
        sample_rate: Hz.
    """

    num_samples: int
    sample_rate: int

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.num_samples / self.sample_rate

    def samples_between(self, start_s: float | None, end_s: float | None) -> int:
        """Samples of a span that is given in seconds and ends with the recording at the latest."""
        first, last = span_in_samples(start_s, end_s, self.sample_rate, self.num_samples)
        return last - first


def audio_info(source: str | os.PathLike[str] | AudioSource) -> AudioInfo:
    """Read the header of an audio file.

    Raises:
        AudioError: if it is missing, empty, truncated or in no known format.
    """
    source = as_source(source)
    with open_sound(source) as file:
        return AudioInfo(known_length(file.frames, source), file.samplerate)


def read_audio(
    source: str | os.PathLike[str] | AudioSource, start_s: float | None = None, end_s: float | None = None
) -> tuple[np.ndarray, int]:
    """Read the first channel of a file, or of a span of it.

    A span is read by seeking where the format seeks exactly (wav, flac); elsewhere the whole is decoded, and kept
    for the next span of the same recording.

    Args:
        source: flac, wav, ogg, opus or mp3; a path stands for an `AudioFile`.
        start_s, end_s: the span, in seconds; it ends with the recording at the latest.
    Returns:
        (samples,) float32 in [-1, 1], and the sample rate in Hz.
    Raises:
        AudioError: if the file cannot be decoded to its end, holds no sample, or such as `complaint` names.
    """
    source = as_source(source)
    if start_s is None and end_s is None:
        samples, rate = _decode(source, None, None)
    elif isinstance(source, AudioFile) and _seeks_exactly(source):
        samples, rate = _decode(source, start_s, end_s)
    else:
        whole, rate = _decode_and_keep(source)
        samples = whole[slice(*span_in_samples(start_s, end_s, rate, len(whole)))]
    if len(samples) == 0:
        raise AudioError("holds no audio" + ("" if start_s is None else f" from {start_s} s"), path=str(source))
    if fault := complaint(samples):
        raise AudioError(f"holds {fault}", path=str(source))
    return samples, rate


def complaint(samples: np.ndarray) -> str | None:
    """What keeps (samples,) from being heard: NaN, infinity, or values so large that features would overflow."""
    if max(samples.max(initial=0.0), -samples.min(initial=0.0)) <= _LOUDEST:  # not so of NaN
        return None
    return "samples beyond any scale" if np.isfinite(samples).all() else "NaN or infinite samples"


def resample(samples: np.ndarray, rate: int, target_rate: int) -> np.ndarray:
    """(samples,) at `rate` Hz to `target_rate` Hz, float32 (soxr, high quality)."""
    if rate == target_rate:
        return samples
    import soxr

    return soxr.resample(samples, rate, target_rate).astype(np.float32, copy=False)


def as_float(samples: np.ndarray) -> np.ndarray:
    """(samples,) of any type as float32 in [-1, 1]: integers are scaled by their type's range, unsigned ones centred.

    Raises:
        InputError: for more than one channel, what `complaint` names, or a type that is no number.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise InputError(f"audio has shape {samples.shape}, not (samples,)", cure="give one channel")
    if samples.dtype.kind in "iu":
        info = np.iinfo(samples.dtype)
        middle = (int(info.max) + int(info.min) + 1) // 2
        return ((samples.astype(np.float64) - middle) / (int(info.max) - middle + 1)).astype(np.float32)
    if samples.dtype.kind != "f":
        raise InputError(f"audio is of type {samples.dtype}", cure="give integers or floats in [-1, 1]")
    if fault := complaint(samples):
        raise InputError(f"audio holds {fault}")
    return samples.astype(np.float32, copy=False)


def change_speed(samples: np.ndarray, rate: int, factor: float) -> np.ndarray:
    """Play (samples,) `factor` times as fast, pitch included (Ko et al., 2015).

    soxr's bits do not depend on threads, as those of a convolution in torch do: what a worker with one thread makes
    is what the main process makes.
    """
    return samples if factor == 1.0 else resample(samples, round(rate * factor), rate)


def span_in_samples(start_s: float | None, end_s: float | None, rate: int, frames: int) -> tuple[int, int]:
    """First sample and end of a span of a recording of `frames` samples."""
    first = 0 if start_s is None else min(round(start_s * rate), frames)
    last = frames if end_s is None else min(round(end_s * rate), frames)
    return first, max(first, last)


def _seeks_exactly(source: AudioFile) -> bool:
    with open_sound(source) as file:
        return file.seekable()


@functools.lru_cache(maxsize=1)
def _decode_and_keep(source: AudioSource) -> tuple[np.ndarray, int]:
    return _decode(source, None, None)


def _decode(source: AudioSource, start_s: float | None, end_s: float | None) -> tuple[np.ndarray, int]:
    try:
        with open_sound(source) as file:
            rate = file.samplerate
            first, last = span_in_samples(start_s, end_s, rate, known_length(file.frames, source))
            if first:
                file.seek(first)
            samples = _read_first_channel(file, last - first)
            exact = file.seekable()
    except (soundfile.LibsndfileError, OSError) as error:
        raise undecodable(source, error) from error
    if exact and len(samples) < last - first:
        raise AudioError(f"is truncated: {len(samples)} of {last - first} samples", path=str(source))
    return samples, rate


def _read_first_channel(file: SoundFile, count: int) -> np.ndarray:
    """Read in portions, so that a header that lies about its length costs no memory."""
    portion = max(_PORTION // file.channels, 1)
    portions = []
    while count > 0:
        samples = file.read(min(count, portion), dtype="float32", always_2d=True)[:, 0]
        portions.append(samples)
        count = count - len(samples) if len(samples) else 0
    return portions[0] if len(portions) == 1 else np.concatenate([np.zeros(0, np.float32), *portions])
