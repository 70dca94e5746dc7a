"""Audio from pipes is heard as it comes, whatever its header says."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from wenet_lite.errors import AudioError
from wenet_lite.runtime.transcribing.live_audio import Encoding, LiveAudio, read_stream

SAMPLES = (np.sin(np.arange(5000) / 7) * 20000).astype(np.int16)


class Pipe(io.BytesIO):
    """Hands out what was asked for in pieces of given sizes, one after the other."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        super().__init__(content)
        self._sizes = iter(sizes)

    def read1(self, size: int = -1) -> bytes:
        return super().read1(next(self._sizes, size))


def heard(audio: LiveAudio) -> np.ndarray:
    return np.concatenate(list(audio.portions))


def coded(kind: str, subtype: str | None = None, samples: np.ndarray = SAMPLES, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize("encoding", ["s16le", "f32le"])
@given(sizes=st.lists(st.integers(1, 4000), max_size=9))
def test_raw_samples_may_be_cut_anywhere(encoding: Encoding, sizes: list[int]) -> None:
    raw = SAMPLES.astype("<i2") if encoding == "s16le" else (SAMPLES / 32768).astype("<f4")
    audio = read_stream(Pipe(raw.tobytes(), sizes), 22050, encoding)
    assert audio.sample_rate == 22050
    np.testing.assert_allclose(heard(audio), SAMPLES / 32768, atol=1e-7)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
def test_a_wav_header_tells_rate_samples_and_channels(kind: str, subtype: str) -> None:
    content = coded(kind, subtype, np.stack([SAMPLES, np.zeros_like(SAMPLES)], axis=1))
    expected, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    audio = read_stream(Pipe(content, [7, 1, 100]), 16000, "f32le")
    assert audio.sample_rate == 8000
    np.testing.assert_array_equal(heard(audio), expected[:, 0])


def test_what_follows_the_samples_of_a_wav_is_not_heard() -> None:
    content = coded("WAV") + b"LIST" + struct.pack("<I", 4) + b"\x7f" * 4
    assert len(heard(read_stream(io.BytesIO(content), 16000, "s16le"))) == len(SAMPLES)


def test_a_wav_of_more_than_4_gb_is_one_too() -> None:
    content = bytearray(coded("RF64"))
    struct.pack_into("<I", content, content.index(b"data") + 4, 0xFFFFFFFF)
    audio = read_stream(io.BytesIO(content), 16000, "s16le")
    assert content.startswith(b"RF64") and audio.sample_rate == 8000
    np.testing.assert_allclose(heard(audio), SAMPLES / 32768, atol=1e-7)


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_that_was_written_to_a_pipe_does_not_know_its_length(length: int) -> None:
    content = coded("WAV")
    at = content.index(b"data") + 4
    content = content[:at] + struct.pack("<I", length) + content[at + 4 :]
    assert len(heard(read_stream(io.BytesIO(content), 16000, "s16le"))) == len(SAMPLES)


def test_flac_that_was_written_to_a_pipe_does_not_know_its_length() -> None:
    content = bytearray(coded("FLAC"))
    content[21] &= 0xF0  # STREAMINFO has the length in 36 bits
    content[22:26] = bytes(4)
    audio = read_stream(io.BytesIO(content), 16000, "s16le")
    assert audio.sample_rate == 8000
    np.testing.assert_allclose(heard(audio), SAMPLES / 32768, atol=1e-7)


def with_channels(wav: bytes, channels: int) -> bytes:
    return wav[:22] + struct.pack("<H", channels) + wav[24:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no audio"),
        (b"\x01", "holds no audio"),
        (coded("WAV")[:30], "has a torn WAV header"),
        (coded("WAV", "IMA_ADPCM"), "is WAV of format 17 with 4 bits at 8000 Hz"),
        (with_channels(coded("WAV"), 1025), "is WAV of 1025 channels"),
        (coded("FLAC")[:300], "cannot be decoded"),
    ],
)
def test_what_is_no_audio_is_named(content: bytes, reason: str) -> None:
    with pytest.raises(AudioError, match=f"^standard input: {reason}"):
        heard(read_stream(io.BytesIO(content), 16000, "s16le"))
