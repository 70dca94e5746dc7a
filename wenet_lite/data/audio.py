"""Reading audio: from a file, from a member of a tar shard, from the output of a command."""

from __future__ import annotations

import functools
import io
import os
import subprocess
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import soundfile

from wenet_lite.errors import AudioError, InputError

SUFFIXES = ("flac", "wav", "ogg", "opus", "mp3")
"""Suffixes of the formats that are read; WAV with 8, 16, 24 or 32 bits or floats."""
SEEKING_FORMATS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "AIFF")
"""Formats, by libsndfile's names, in which a sample is found exactly."""
_TAR_BLOCK = 512
_PORTION = 1 << 23  # samples over all channels
_NO_LENGTH = 1 << 40


@dataclass(frozen=True)
class AudioFile:
    """Attributes:
    path: of an audio file.
    """

    path: str

    def __str__(self) -> str:
        return self.path

    def open(self) -> str | BinaryIO:
        """What libsndfile opens.

        Raises:
            AudioError: if there is nothing to open.
        """
        if not os.path.exists(self.path):
            raise AudioError("no such audio file", path=self.path)
        if os.path.getsize(self.path) == 0:
            raise AudioError("is empty", path=self.path)
        return self.path


@dataclass(frozen=True)
class AudioCommand:
    """The piped entry of a `wav.scp`; it is a program of somebody else's, so it is never run unless that was allowed.

    Attributes:
        command: for the shell, without the `|` at its end; audio comes out.
    """

    command: str

    def __str__(self) -> str:
        return f"{self.command} |"

    def open(self) -> BinaryIO:
        """Run the command.

        Raises:
            AudioError: if it exits with another status than 0.
        """
        words = ["bash", "-c", f"set -o pipefail; {self.command}"]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise AudioError(f"exited with status {done.returncode}{': ' * bool(last)}{last}", path=str(self))
        return io.BytesIO(done.stdout)


@dataclass(frozen=True)
class TarMember:
    """Attributes:
    path: of the tar file.
    key: the member's name without its suffix.
    offset, num_bytes: where its content lies.
    """

    path: str
    key: str
    offset: int
    num_bytes: int

    def __str__(self) -> str:
        return f"{self.path}[{self.key}]"

    def open(self) -> BinaryIO:
        """Read the content.

        Raises:
            AudioError: if the tar has no such member in this place.
        """
        try:
            with open(self.path, "rb") as stream:
                stream.seek(max(self.offset - _TAR_BLOCK, 0))
                header, content = stream.read(_TAR_BLOCK), stream.read(self.num_bytes)
        except OSError as error:
            raise AudioError(f"cannot be read: {error.strerror}", path=str(self)) from error
        # a name that is not ASCII stands in another block, with `?` here
        names = {self.key.encode()[:99], self.key.encode("ascii", "replace")[:99]}
        named = any(name in header for name in names)
        if header[257:262] != b"ustar" or not named or len(content) < self.num_bytes:
            raise AudioError("is not where the index of its tar says", path=str(self))
        return io.BytesIO(content)


@dataclass(frozen=True)
class EncodedAudio:
    """Attributes:
    name: for messages.
    content: a whole audio file.
    """

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name

    def open(self) -> BinaryIO:
        """The content as a file."""
        return io.BytesIO(self.content)


AudioSource = AudioFile | AudioCommand | TarMember | EncodedAudio


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
        AudioError: if it is missing, empty or in no known format.
    """
    source = as_source(source)
    try:
        info = soundfile.info(source.open())
    except (soundfile.LibsndfileError, OSError) as error:
        raise undecodable(source, error) from error
    return AudioInfo(known_length(info.frames, source), info.samplerate)


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
        AudioError: if the file cannot be decoded to its end, holds no sample, or holds NaN or infinity.
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
    if not np.isfinite(samples).all():
        raise AudioError("holds NaN or infinite samples", path=str(source))
    return samples, rate


def resample(samples: np.ndarray, rate: int, target_rate: int) -> np.ndarray:
    """(samples,) at `rate` Hz to `target_rate` Hz, float32 (soxr, high quality)."""
    if rate == target_rate:
        return samples
    import soxr

    return soxr.resample(samples, rate, target_rate).astype(np.float32, copy=False)


def as_float(samples: np.ndarray) -> np.ndarray:
    """(samples,) of any type as float32 in [-1, 1]: integers are scaled by their type's range, unsigned ones centred.

    Raises:
        InputError: for more than one channel, NaN, infinity, or a type that is no number.
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
    if not np.isfinite(samples).all():
        raise InputError("audio holds NaN or infinite samples")
    return samples.astype(np.float32, copy=False)


def change_speed(samples: np.ndarray, rate: int, factor: float) -> np.ndarray:
    """Play (samples,) `factor` times as fast, pitch included (Ko et al., 2015).

    soxr's bits do not depend on threads, as those of a convolution in torch do: what a worker with one thread makes
    is what the main process makes.
    """
    return samples if factor == 1.0 else resample(samples, round(rate * factor), rate)


def as_source(source: str | os.PathLike[str] | AudioSource) -> AudioSource:
    """A path stands for an `AudioFile`."""
    return AudioFile(os.fspath(source)) if isinstance(source, (str, os.PathLike)) else source


def span_in_samples(start_s: float | None, end_s: float | None, rate: int, frames: int) -> tuple[int, int]:
    """First sample and end of a span of a recording of `frames` samples."""
    first = 0 if start_s is None else min(round(start_s * rate), frames)
    last = frames if end_s is None else min(round(end_s * rate), frames)
    return first, max(first, last)


def known_length(frames: int, source: AudioSource) -> int:
    """The length that libsndfile tells.

    Raises:
        AudioError: if it tells none.
    """
    if frames >= _NO_LENGTH:  # FLAC that was written to a pipe
        raise AudioError("does not tell its length", path=str(source), cure="write it to a file, or as WAV")
    return frames


def _seeks_exactly(source: AudioFile) -> bool:
    try:
        return soundfile.info(source.open()).format in SEEKING_FORMATS
    except (soundfile.LibsndfileError, OSError) as error:
        raise undecodable(source, error) from error


@functools.lru_cache(maxsize=1)
def _decode_and_keep(source: AudioSource) -> tuple[np.ndarray, int]:
    return _decode(source, None, None)


def _decode(source: AudioSource, start_s: float | None, end_s: float | None) -> tuple[np.ndarray, int]:
    try:
        with soundfile.SoundFile(source.open()) as file:
            rate = file.samplerate
            first, last = span_in_samples(start_s, end_s, rate, known_length(file.frames, source))
            if first:
                file.seek(first)
            samples = _read_first_channel(file, last - first)
            exact = file.format in SEEKING_FORMATS
    except (soundfile.LibsndfileError, OSError) as error:
        raise undecodable(source, error) from error
    if exact and len(samples) < last - first:
        raise AudioError(f"is truncated: {len(samples)} of {last - first} samples", path=str(source))
    return samples, rate


def _read_first_channel(file: soundfile.SoundFile, count: int) -> np.ndarray:
    """Read in portions, so that a header that lies about its length costs no memory."""
    portion = max(_PORTION // file.channels, 1)
    portions = []
    while count > 0:
        samples = file.read(min(count, portion), dtype="float32", always_2d=True)[:, 0]
        portions.append(samples)
        count = count - len(samples) if len(samples) else 0
    return portions[0] if len(portions) == 1 else np.concatenate([np.zeros(0, np.float32), *portions])


def undecodable(source: AudioSource, error: Exception) -> AudioError:
    """libsndfile's complaint in one line."""
    reason = getattr(error, "error_string", None) or str(error)
    return AudioError(f"cannot be decoded: {reason.rstrip('.')}", path=str(source))
