"""A small binding of eSpeak NG, by way of the library that the espeakng-loader wheel carries."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

from wenet_lite.errors import WenetLiteError

_RETRIEVE_AUDIO = 1
_BUFFER_MS = 500
_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_RANDOM_SEED = 1
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class EspeakError(WenetLiteError):
    """eSpeak NG is missing or refuses a voice or a text."""


@dataclass(frozen=True)
class Prosody:
    """Attributes:
    rate: words a minute, 80 to 450.
    pitch: base pitch, 0 to 100; 50 is the voice's own.
    pitch_range: liveliness, 0 to 100; 50 is the voice's own.
    """

    rate: int
    pitch: int
    pitch_range: int


class Espeak:
    """The synthesiser of this process (the library has one global state).

    The same calls in the same order give the same samples in every process.

    Raises:
        EspeakError: if the wheel is not installed or the library does not start.
    """

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError as error:
            raise EspeakError(
                "espeakng-loader is not installed", cure="pip install -r egs/librispeech/requirements.txt"
            ) from error
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data_path = espeakng_loader.get_data_path().encode()
        self.sample_rate: int = self._library.espeak_Initialize(_RETRIEVE_AUDIO, _BUFFER_MS, data_path, 0)
        if self.sample_rate <= 0:
            raise EspeakError("eSpeak NG does not start")
        # the breath of f2, f3 and f5 is noise that the library otherwise seeds with the time of day
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(_RANDOM_SEED))
        self._chunks: list[np.ndarray] = []
        self._callback = _Callback(self._collect)  # kept, or it would be freed while the library holds it
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: str, prosody: Prosody) -> np.ndarray:
        """Synthesise a sentence.

        Args:
            text: English text.
            voice: accent and variant, such as `en-us+f3`.
            prosody: rate and pitch.
        Returns:
            (samples,) int16 at `sample_rate` Hz.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise EspeakError(f"eSpeak NG has no voice '{voice}'")
        for parameter, value in ((_RATE, prosody.rate), (_PITCH, prosody.pitch), (_RANGE, prosody.pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._chunks.clear()
        encoded = text.encode()
        if self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, _UTF8, None, None):
            raise EspeakError(f"eSpeak NG cannot say '{text}'")
        self._library.espeak_Synchronize()
        return np.concatenate(self._chunks) if self._chunks else np.zeros(0, dtype=np.int16)

    def _collect(self, samples, count, events) -> int:  # type: ignore[no-untyped-def]
        if samples and count:
            self._chunks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0
