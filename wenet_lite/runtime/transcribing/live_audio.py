"""Audio that comes portion by portion: from a file, from standard input, from the microphone."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, get_args

import numpy as np
import soundfile

from wenet_lite.data.audio_blocks import read_blocks
from wenet_lite.data.audio_source import EncodedAudio
from wenet_lite.data.sound_file import undecodable
from wenet_lite.errors import AudioError
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.runtime.sample_rates import ACCEPTED_RATES

Encoding = Literal["s16le", "f32le"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)

_RAW_SUBTYPES = {"s16le": "PCM_16", "f32le": "FLOAT"}
_WAV_SUBTYPES = {
    (1, 8): "PCM_U8", (1, 16): "PCM_16", (1, 24): "PCM_24", (1, 32): "PCM_32",
    (3, 32): "FLOAT", (3, 64): "DOUBLE", (6, 8): "ALAW", (7, 8): "ULAW",
}  # fmt: skip
"""libsndfile's name of what a WAV header calls by format tag and bits."""
_EXTENSIBLE = 0xFFFE
_ENDLESS = 0x7FFF0000
"""From here on a header's length stands for one that its writer did not know, as 0 does."""
_WAV = (b"RIFF", b"RF64")
"""How WAV begins; the second is of more than 4 GB, whose length does not fit."""
_CODED = (b"fLaC", b"OggS", b"ID3")
_NAME = "standard input"
_MOST_BYTES = 1 << 16
_MOST_CHANNELS = 1024
"""Of libsndfile."""


@dataclass(frozen=True)
class LiveAudio:
    """Attributes:
    sample_rate: Hz.
    portions: (n,) samples each, as they come; floats in [-1, 1] or integers of any type's full range.
    """

    sample_rate: int
    portions: Iterator[np.ndarray]


@dataclass(frozen=True)
class _Pcm:
    """Attributes:
    subtype: libsndfile's name of a sample.
    sample_bytes: of one channel.
    channels: the first one is heard.
    """

    subtype: str
    sample_bytes: int
    channels: int = 1

    def decode(self, content: bytes) -> np.ndarray:
        """(n,) float32 of whole frames."""
        options = {"format": "RAW", "subtype": self.subtype, "endian": "LITTLE", "channels": self.channels}
        samples, _ = soundfile.read(
            io.BytesIO(content), samplerate=SAMPLE_RATE, dtype="float32", always_2d=True, **options
        )
        return samples[:, 0]


def play_file(path: str, portion_ms: int) -> LiveAudio:
    """A file as a stream of portions, as fast as they are taken.

    Raises:
        AudioError: while portions are taken, as `read_blocks`.
    """
    size = SAMPLE_RATE * portion_ms // 1000
    blocks = read_blocks(path, sample_rate=SAMPLE_RATE)
    return LiveAudio(SAMPLE_RATE, (block[i : i + size] for block in blocks for i in range(0, len(block), size)))


def read_stream(stream: BinaryIO, sample_rate: int, encoding: Encoding) -> LiveAudio:
    """Audio from a pipe: raw samples of one channel, or WAV, whose header then tells the rate and what samples are.

    Both are handed on as they come in. FLAC, Ogg and MP3 with a tag are noticed too, but read to their end first.

    Args:
        stream: such as `sys.stdin.buffer`.
        sample_rate: Hz of raw samples.
        encoding: of raw samples.
    Raises:
        AudioError: for a WAV header that is torn or of a codec that WAV seldom has; while portions are taken, where
            there are none, or what was noticed cannot be decoded.
    """
    start = stream.read(4)
    if start in _WAV:
        pcm, sample_rate, num_bytes = _read_wav_header(stream)
        return LiveAudio(sample_rate, _not_empty(_decoded(_pieces(stream, num_bytes), pcm)))
    if start.startswith(_CODED):
        return _read_coded(EncodedAudio(_NAME, start + stream.read()))
    pcm = _Pcm(_RAW_SUBTYPES[encoding], 2 if encoding == "s16le" else 4)
    pieces = itertools.chain([start], _pieces(stream, None))
    return LiveAudio(sample_rate, _not_empty(_decoded(pieces, pcm)))


def _read_wav_header(stream: BinaryIO) -> tuple[_Pcm, int, int | None]:
    """Samples, their rate, and bytes of them, None for as many as come; the stream is left at the first."""
    pcm, rate = None, 0
    wave = stream.read(8)[4:]
    while wave == b"WAVE":
        header = stream.read(8)
        if len(header) < 8:
            break
        name, size = struct.unpack("<4sI", header)
        if name == b"data":
            if pcm is None:
                break
            return pcm, rate, None if size == 0 or size >= _ENDLESS else size
        content = stream.read(size + size % 2)  # chunks begin at even places
        if name == b"fmt " and len(content) >= 16:
            tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", content)
            if tag == _EXTENSIBLE and len(content) >= 26:
                (tag,) = struct.unpack_from("<H", content, 24)
            if not 0 < channels <= _MOST_CHANNELS:
                raise AudioError(f"is WAV of {channels} channels", path=_NAME, cure="convert it to s16le")
            if (tag, bits) not in _WAV_SUBTYPES or rate not in ACCEPTED_RATES:
                raise AudioError(
                    f"is WAV of format {tag} with {bits} bits at {rate} Hz", path=_NAME, cure="convert it to s16le"
                )
            pcm = _Pcm(_WAV_SUBTYPES[tag, bits], bits // 8, channels)
    raise AudioError("has a torn WAV header", path=_NAME)


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """Reads on without seeking, which FLAC that was coded into a pipe does not let libsndfile do."""

    def seekable(self) -> bool:
        return False


def _read_coded(source: EncodedAudio) -> LiveAudio:
    try:
        file = _Forward(source.open())
    except soundfile.LibsndfileError as error:
        raise undecodable(source, error) from error
    return LiveAudio(file.samplerate, _not_empty(_blocks(file, source)))


def _blocks(file: _Forward, source: EncodedAudio) -> Iterator[np.ndarray]:
    """Seconds of the first channel."""
    try:
        while len(block := file.read(file.samplerate, dtype="float32", always_2d=True)[:, 0]):
            yield block
    except soundfile.LibsndfileError as error:
        raise undecodable(source, error) from error


def _pieces(stream: BinaryIO, num_bytes: int | None) -> Iterator[bytes]:
    """What has come, at once; up to so many bytes."""
    left = num_bytes
    while left is None or left > 0:
        piece = stream.read1(_MOST_BYTES if left is None else min(left, _MOST_BYTES))  # type: ignore[attr-defined]
        if not piece:
            return
        left = None if left is None else left - len(piece)
        yield piece


def _decoded(pieces: Iterator[bytes], pcm: _Pcm) -> Iterator[np.ndarray]:
    """Samples of pieces that may end anywhere."""
    frame = pcm.sample_bytes * pcm.channels
    rest = b""
    for piece in pieces:
        content = rest + piece
        whole = len(content) - len(content) % frame
        rest = content[whole:]
        if whole:
            yield pcm.decode(content[:whole])


def _not_empty(portions: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    first = next(portions, None)
    if first is None:
        raise AudioError("holds no audio", path=_NAME)
    yield first
    yield from portions
