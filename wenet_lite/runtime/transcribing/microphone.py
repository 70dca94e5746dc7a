"""The microphone, by the optional package sounddevice."""

from __future__ import annotations

import logging
import queue
from collections.abc import Iterator
from typing import Any

import numpy as np

from wenet_lite.errors import ConfigError
from wenet_lite.runtime.transcribing.live_audio import LiveAudio

_LOG = logging.getLogger(__name__)


def open_microphone() -> LiveAudio:
    """The system's default input, first channel, at its own rate; it is listened to until nobody takes portions.

    Raises:
        ConfigError: if sounddevice or PortAudio is not installed, or there is no input.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise ConfigError("--microphone needs sounddevice", cure="pip install sounddevice") from error
    except OSError as error:
        raise ConfigError(
            "--microphone needs PortAudio", cure="on Debian and Ubuntu: apt install libportaudio2"
        ) from error
    try:
        sample_rate = int(sounddevice.query_devices(kind="input")["default_samplerate"])
    except (sounddevice.PortAudioError, ValueError) as error:
        raise ConfigError("there is no microphone", cure="python -m sounddevice lists all devices") from error
    return LiveAudio(sample_rate, _portions(sounddevice, sample_rate))


def _portions(sounddevice: Any, sample_rate: int) -> Iterator[np.ndarray]:
    """What was recorded waits in a queue, so that none is lost while a chunk is recognised."""
    waiting: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()

    def keep(samples: np.ndarray, frames: int, time: object, status: object) -> None:
        if status:
            _LOG.warning("the microphone has lost audio: %s", status)
        waiting.put(samples[:, 0].copy())

    try:
        with sounddevice.InputStream(samplerate=sample_rate, channels=1, dtype="int16", callback=keep):
            while True:
                yield waiting.get()
    except sounddevice.PortAudioError as error:
        raise ConfigError(f"the microphone cannot be opened: {error}", cure="does another program have it?") from error
