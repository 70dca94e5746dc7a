"""An utterance as a foreign corpus tells of it: what the readers of importers_*.py yield."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from wenet_lite.data.kaldi_validate import transcript_fault
from wenet_lite.errors import DataError

# tab, and all at which str.splitlines breaks
_BREAKS = re.compile("\r\n|[\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029]")
# Kaldi would take these for a command, a place in an archive, two lines
_NO_PLAIN_PATH = re.compile(r"[|\s]$|:\d+$|[\r\n]")
_GENDERS = {
    **dict.fromkeys(("m", "male", "man", "male_masculine"), "m"),
    **dict.fromkeys(("f", "female", "woman", "female_feminine"), "f"),
}


@dataclass(frozen=True)
class SourceUtterance:
    """One utterance as its source tells of it.

    Attributes:
        path, line: where the source tells of it.
        key: its id there.
        recording: id of the recording that it is, or is a part of.
        audio: the file of the recording, or a command that writes it to standard output; "" where there is none.
        text: as it stands there.
        speaker: "" where unknown.
        gender: m, f, or "" where unknown.
        start, end: seconds of the part; None from, to the end of the recording.
        duration: seconds of the utterance, None where unknown.
        is_command: whether `audio` is a command.
    """

    path: str
    line: int
    key: str
    recording: str
    audio: str
    text: str
    speaker: str = ""
    gender: str = ""
    start: float | None = None
    end: float | None = None
    duration: float | None = None
    is_command: bool = False

    @property
    def transcript(self) -> str:
        """The text with a space for each run of blanks, Unicode's and line breaks included, none at the ends."""
        return " ".join(self.text.split())

    @property
    def rxfilename(self) -> str:
        """The recording as wav.scp has it."""
        return f"{self.audio} |" if self.is_command else self.audio

    def span(self) -> tuple[float, float]:
        """Seconds at which it starts and ends in its recording, whose header is read where nothing else tells.

        Raises:
            DataError: if the recording ends first, or is a command, so that nothing tells its end.
            AudioError: if the header cannot be read.
        """
        start = self.start or 0.0
        if self.end is not None:
            end = self.end
        elif self.duration is not None:
            end = start + self.duration
        elif self.is_command:
            raise self.error(f"'{self.key}' has no end, and its audio is a command", "name the end")
        else:
            from wenet_lite.data.audio import audio_info  # here: numpy and soundfile would slow down the start

            end = audio_info(self.audio).duration
        if not end > start:
            raise self.error(f"'{self.key}' starts at {start} s, but ends at {end} s")
        return start, end

    def fault(self, is_file: Callable[[str], bool]) -> str | None:
        """Why Kaldi cannot have it, in words that follow "which"; None where it can.

        Args:
            is_file: whether there is such a file.
        """
        if not self.key.strip():
            return "has no id"
        if not self.audio:
            return f"has no audio for the recording '{self.recording}'" if self.recording else "has no audio"
        if not self.is_command and _NO_PLAIN_PATH.search(self.audio):
            return f"has an audio path that cannot stand in wav.scp: {_BREAKS.sub(' ', self.audio)}"
        if not self.is_command and not is_file(self.audio):
            return f"has no such audio file: {self.audio}"
        if self.end is not None and not self.end > (self.start or 0.0):
            return f"ends at {self.end} s, before it starts"
        return transcript_fault(self.transcript) if self.transcript else "has no text"

    def error(self, message: str, cure: str | None = None) -> DataError:
        """The error to raise about it."""
        return DataError(message, path=self.path, line=self.line, cure=cure)


def gender_of(word: str) -> str:
    """m or f, in whatever way they are spelt; "" for all else."""
    return _GENDERS.get(word.strip().lower(), "")
