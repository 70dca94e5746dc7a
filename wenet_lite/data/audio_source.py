"""Where the bytes of audio come from: a file, a member of a tar shard, the output of a command, an upload."""

from __future__ import annotations

import io
import os
import subprocess
from dataclasses import dataclass
from typing import BinaryIO

from wenet_lite.errors import AudioError

SUFFIXES = ("flac", "wav", "ogg", "opus", "mp3")
"""Suffixes of the formats that are read; WAV with 8, 16, 24 or 32 bits or floats."""
_TAR_BLOCK = 512


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


def as_source(source: str | os.PathLike[str] | AudioSource) -> AudioSource:
    """A path stands for an `AudioFile`."""
    return AudioFile(os.fspath(source)) if isinstance(source, (str, os.PathLike)) else source
