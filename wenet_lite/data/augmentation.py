"""Augmentation of one utterance's waveform: reverberation, noise, volume."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wenet_lite.data.audio import audio_info, read_audio, resample
from wenet_lite.data.draws import utterance_draws
from wenet_lite.errors import DataError


@dataclass(frozen=True)
class AugmentConfig:
    """Attributes:
    volume_db: smallest and largest gain, drawn evenly; [0, 0] changes nothing.
    noise_list: recordings of noise, as a `wav.scp` or as Kaldi's reverberate_data_dir.py has them; "" for none.
    noise_probability: part of the utterances that get noise.
    snr_db: lowest and highest signal-to-noise ratio, drawn evenly.
    rir_list: room impulse responses, listed in the same two ways; "" for none.
    rir_probability: part of the utterances that are played into a room.
    """

    volume_db: tuple[float, float] = (0.0, 0.0)
    noise_list: str = ""
    noise_probability: float = 0.5
    snr_db: tuple[float, float] = (5.0, 20.0)
    rir_list: str = ""
    rir_probability: float = 0.3

    def __post_init__(self) -> None:
        if not (0 <= self.noise_probability <= 1 and 0 <= self.rir_probability <= 1):
            raise ValueError("noise_probability and rir_probability lie between 0 and 1")
        if self.volume_db[0] > self.volume_db[1] or self.snr_db[0] > self.snr_db[1]:
            raise ValueError("volume_db and snr_db are [lowest, highest]")


class Augmenter:
    """Plays an utterance into a room, adds noise and changes its volume, as its own draws have it.

    Args:
        config: what to do how often.
        sample_rate: Hz of the waveforms.
        seed: the experiment's.
        plain_epochs: first occurrences of each utterance, which stay as they were recorded.
    Raises:
        DataError: if a list is missing, empty or malformed.
    """

    def __init__(self, config: AugmentConfig, sample_rate: int, seed: int, plain_epochs: int = 0) -> None:
        self._config, self._sample_rate, self._seed = config, sample_rate, seed
        self._plain_epochs = plain_epochs
        self._noises = read_audio_list(config.noise_list) if config.noise_list else []
        self._rirs = read_audio_list(config.rir_list) if config.rir_list else []

    def __call__(self, samples: np.ndarray, key: str, occurrence: int) -> np.ndarray:
        """(samples,) float32 of utterance `key`, as it sounds at this occurrence; of the same length.

        Raises:
            AudioError: if the noise or impulse response that was drawn cannot be read.
        """
        config = self._config
        if occurrence < self._plain_epochs:
            return samples
        if self._rirs:
            random = utterance_draws(self._seed, occurrence, key, "reverberation")
            if random.random() < config.rir_probability:
                samples = reverberate(samples, self._read(self._rirs[random.integers(len(self._rirs))]))
        if self._noises:
            random = utterance_draws(self._seed, occurrence, key, "noise")
            if random.random() < config.noise_probability:
                path = self._noises[random.integers(len(self._noises))]
                noise = self._excerpt(path, len(samples), random)
                samples = add_noise(samples, noise, random.uniform(*config.snr_db))
        if config.volume_db != (0.0, 0.0):
            gain_db = utterance_draws(self._seed, occurrence, key, "volume").uniform(*config.volume_db)
            samples = samples * np.float32(10 ** (gain_db / 20))
        return samples

    def _read(self, path: str, start_s: float | None = None, end_s: float | None = None) -> np.ndarray:
        samples, rate = read_audio(path, start_s, end_s)
        return resample(samples, rate, self._sample_rate)

    def _excerpt(self, path: str, count: int, random: np.random.Generator) -> np.ndarray:
        """`count` samples from a drawn place of a recording, which is repeated where it is too short."""
        spare = audio_info(path).duration - count / self._sample_rate
        position = random.random()
        if spare > 0.1:  # a margin, so that rounding at another rate costs no sample
            start_s = position * (spare - 0.1)
            noise = self._read(path, start_s, start_s + count / self._sample_rate + 0.1)
        else:
            noise = self._read(path)
            noise = np.roll(noise, -int(position * len(noise)))
        return np.resize(noise, count)


def read_audio_list(path: str | os.PathLike[str]) -> list[str]:
    """Paths of a `wav.scp`, or of a list of Kaldi's reverberate_data_dir.py (`--rir-id 1 --room-id 2 <path>`).

    Relative paths are taken from the list's folder.

    Raises:
        DataError: if the list is missing or empty, or has a line without a path, or with a command.
    """
    paths = []
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot be read as a list of recordings", path=path) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if line.rstrip().endswith("|"):
            raise DataError("is a command, not a recording", path=path, line=number, cure="write its output to a file")
        if line.startswith("--"):
            *_, option, value, recording = ["", "", *_split(line, path, number)]
            paired = option.startswith("--") and not value.startswith("--")
        else:
            recording = line.split(None, 1)[-1].strip()
            paired = len(line.split(None, 1)) == 2
        if not paired:
            raise DataError("has no path", path=path, line=number, cure="expected <id> <path>")
        paths.append(os.path.join(os.path.dirname(os.path.abspath(path)), recording))
    if not paths:
        raise DataError("lists no recording", path=path)
    return paths


def reverberate(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Convolve with a room's impulse response.

    Args:
        samples: (n,) float32.
        response: (m,); its largest value, the direct sound, counts as time 0.
    Returns:
        (n,) float32, as loud as `samples` were.
    """
    size = 1 << (len(samples) + len(response) - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)
    direct = int(np.abs(response).argmax())
    wet = wet[direct : direct + len(samples)]
    power = float(np.mean(np.square(wet)))
    scale = np.sqrt(np.mean(np.square(samples, dtype=np.float64)) / power) if power > 0 else 0.0
    return (wet * scale).astype(np.float32)


def add_noise(samples: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """(n,) samples plus (n,) noise, scaled to a signal-to-noise ratio; silence on either side adds nothing."""
    signal_power = np.mean(np.square(samples, dtype=np.float64))
    noise_power = np.mean(np.square(noise, dtype=np.float64))
    if noise_power == 0:
        return samples
    scale = np.sqrt(signal_power / noise_power / 10 ** (snr_db / 10))
    return (samples + np.float32(scale) * noise).astype(np.float32)


def _split(line: str, path: str | os.PathLike[str], number: int) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise DataError(f"has unbalanced quotes: {error}", path=path, line=number) from error
