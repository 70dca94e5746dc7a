"""libsndfile's files: read forward where it does not find a place again exactly, and refused where they are torn."""

from __future__ import annotations

import re

import soundfile

from wenet_lite.data.audio_source import AudioSource
from wenet_lite.errors import AudioError

_SEEKING_FORMATS = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "AIFF")
"""Formats, by libsndfile's names, in which a sample is found exactly."""
_NO_LENGTH = 1 << 40
_ENDLESS = 0x7FFF0000
"""From here on the bytes that WAV tells stand for a number that its writer did not know."""
_TOLD = re.compile(r"^ *(?:data|riff|Riff size|SSND) : (\d+) \(should be (\d+)\)$", re.MULTILINE)
"""What libsndfile's log says of a header that tells of more bytes than there are."""


class SoundFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A file opened for reading.

    After each portion soundfile seeks to the sample after it; in formats in which libsndfile finds that not exactly,
    as MP3, it is another one. Those are read without seeking.
    """

    def seekable(self) -> bool:
        """Whether a sample is found exactly."""
        return self.format in _SEEKING_FORMATS and super().seekable()

    def refuse_if_torn(self, source: AudioSource) -> None:
        """Compare what the header tells with what is there.

        Raises:
            AudioError: if samples are missing at the end.
        """
        for told, there in _TOLD.findall(self.extra_info):
            is_known = int(told) < _ENDLESS or self.format in ("RF64", "W64")
            if is_known and round(self.frames * int(told) / max(int(there), 1)) > self.frames:
                cure = "copy it again, or write what is there anew, as by sox"
                raise AudioError(f"is truncated: {there} of {told} bytes", path=str(source), cure=cure)


def open_sound(source: AudioSource) -> SoundFile:
    """Open audio for reading.

    Raises:
        AudioError: if it is missing, empty, truncated or in no known format.
    """
    try:
        file = SoundFile(source.open())
    except (soundfile.LibsndfileError, OSError, TypeError) as error:  # TypeError: of a file called .raw
        raise undecodable(source, error) from error
    file.refuse_if_torn(source)
    return file


def known_length(frames: int, source: AudioSource) -> int:
    """The length that libsndfile tells.

    Raises:
        AudioError: if it tells none.
    """
    if frames >= _NO_LENGTH:  # FLAC that was written to a pipe
        raise AudioError("does not tell its length", path=str(source), cure="write it to a file, or as WAV")
    return frames


def undecodable(source: AudioSource, error: Exception) -> AudioError:
    """libsndfile's complaint in one line."""
    reason = getattr(error, "error_string", None) or str(error)
    return AudioError(f"cannot be decoded: {reason.rstrip('.')}", path=str(source))
