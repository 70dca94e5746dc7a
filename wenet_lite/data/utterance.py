"""One utterance of a list."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wenet_lite.data.audio_source import AudioCommand, AudioFile, AudioSource, TarMember
from wenet_lite.data.list_line import command_error, open_list, parse_line


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance of a list.

    Attributes:
        key: utterance id.
        wav: path of the audio file, a command that ends in `|`, or the shard that holds it.
        txt: transcript as its list has it: ours after the text rules, those of others perhaps before them.
        duration: seconds.
        num_samples: samples of the utterance at `sample_rate`.
        sample_rate: Hz.
        speaker: speaker id.
        start, end: span inside `wav`, in seconds, for segments.
        audio_offset, audio_bytes: span inside `wav`, in bytes, for shards.
    """

    key: str
    wav: str
    txt: str
    duration: float
    num_samples: int
    sample_rate: int
    speaker: str = ""
    start: float | None = None
    end: float | None = None
    audio_offset: int | None = None
    audio_bytes: int | None = None

    @property
    def source(self) -> AudioSource:
        """Where its audio is read from."""
        if self.audio_offset is not None and self.audio_bytes is not None:
            return TarMember(self.wav, self.key, self.audio_offset, self.audio_bytes)
        if self.wav.endswith("|"):
            return AudioCommand(self.wav[:-1].strip())
        return AudioFile(self.wav)


def utterance_of_line(
    tree: dict[str, Any], path: str | os.PathLike[str], num_samples: int, sample_rate: int
) -> Utterance:
    """The utterance of a line of the list or index at `path`, from whose folder relative paths are taken."""
    values = {name: tree[name] for name in Utterance.__slots__ if name in tree}
    values |= {"num_samples": num_samples, "sample_rate": sample_rate, "duration": round(num_samples / sample_rate, 4)}
    if not values["wav"].endswith("|") and "://" not in values["wav"]:
        values["wav"] = os.path.join(os.path.dirname(os.path.abspath(path)), values["wav"])
    return Utterance(**values)


def unindexed_utterances(path: str | os.PathLike[str], *, allow_pipes: bool) -> Iterator[Utterance]:
    """The utterances of a list that need not tell how long they are; lengths are 0 then.

    Raises:
        DataError: naming the line that is malformed, or a command that is not allowed.
    """
    with open_list(path) as stream:
        for number, line in enumerate(stream, 1):
            tree = parse_line(line, path, number)
            if tree["wav"].endswith("|") and not allow_pipes:
                raise command_error(path, number)
            yield utterance_of_line(tree, path, tree.get("num_samples", 0), tree.get("sample_rate", 1))
