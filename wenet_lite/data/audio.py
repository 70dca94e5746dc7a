"""Reading audio files."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import soundfile

from wenet_lite.errors import AudioError


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


def audio_info(path: str | os.PathLike[str]) -> AudioInfo:
    """Read the header of an audio file.

    Raises:
        AudioError: if it is missing, empty or in no known format.
    """
    try:
        info = soundfile.info(os.fspath(path))
    except (soundfile.LibsndfileError, OSError) as error:
        raise _unreadable(path, error) from error
    return AudioInfo(info.frames, info.samplerate)


def read_audio(
    path: str | os.PathLike[str], start_s: float | None = None, end_s: float | None = None
) -> tuple[np.ndarray, int]:
    """Read the first channel of a file, or of a span of it.

    Args:
        path: flac, wav, ogg, opus or mp3.
        start_s, end_s: the span, in seconds.
    Returns:
        (samples,) float32 in [-1, 1], and the sample rate in Hz.
    Raises:
        AudioError: if the file cannot be decoded to its end, holds no sample, or holds NaN or infinity.
    """
    try:
        with soundfile.SoundFile(os.fspath(path)) as file:
            rate = file.samplerate
            first = 0 if start_s is None else round(start_s * rate)
            last = file.frames if end_s is None else min(round(end_s * rate), file.frames)
            if first:
                file.seek(first)
            samples = file.read(max(last - first, 0), dtype="float32", always_2d=True)[:, 0]
    except (soundfile.LibsndfileError, OSError) as error:
        raise _unreadable(path, error) from error
    if len(samples) == 0:
        raise AudioError("holds no audio", path=path)
    if len(samples) < last - first:
        raise AudioError(f"is truncated: {len(samples)} of {last - first} samples", path=path)
    if not np.isfinite(samples).all():
        raise AudioError("holds NaN or infinite samples", path=path)
    return samples, rate


def resample(samples: np.ndarray, rate: int, target_rate: int) -> np.ndarray:
    """(samples,) at `rate` Hz to `target_rate` Hz, float32 (soxr, high quality)."""
    if rate == target_rate:
        return samples
    import soxr

    return soxr.resample(samples, rate, target_rate).astype(np.float32, copy=False)


def change_speed(samples: np.ndarray, rate: int, factor: float) -> np.ndarray:
    """Play (samples,) `factor` times as fast, pitch included (Ko et al., 2015)."""
    return resample(samples, round(rate * factor), rate)


def _unreadable(path: str | os.PathLike[str], error: Exception) -> AudioError:
    if not os.path.exists(path):
        return AudioError("no such audio file", path=path)
    if os.path.getsize(path) == 0:
        return AudioError("is empty", path=path)
    reason = getattr(error, "error_string", None) or str(error)
    return AudioError(f"cannot be decoded: {reason.rstrip('.')}", path=path)
