"""What a user names to be transcribed: files, and folders of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wenet_lite.data.audio_source import SUFFIXES
from wenet_lite.errors import ConfigError


@dataclass(frozen=True)
class AudioInput:
    """Attributes:
    name: as the user would write it: a path, `-` or `microphone`.
    output: name of the transcript's file without its suffix, relative to the folder of all.
    """

    name: str
    output: Path


STANDARD_INPUT = AudioInput("-", Path("standard_input"))
MICROPHONE = AudioInput("microphone", Path("microphone"))


def find_inputs(paths: Sequence[str]) -> tuple[list[AudioInput], list[str]]:
    """Files as they are given, and all audio files in folders and their folders, ordered by path.

    Hidden files and folders are left out. A folder's files keep their places below it in `output`.

    Returns:
        the files, and the folders without any. Whether a file exists is not asked here.
    """
    inputs: list[AudioInput] = []
    barren = []
    for path in map(Path, paths):
        if not path.is_dir():
            inputs.append(AudioInput(str(path), Path(path.stem)))
            continue
        found = [each for each in sorted(path.rglob("*")) if _is_audio(each.relative_to(path)) and each.is_file()]
        inputs += [AudioInput(str(each), each.relative_to(path).with_suffix("")) for each in found]
        if not found:
            barren.append(str(path))
    return inputs, barren


def require_distinct_outputs(inputs: Sequence[AudioInput]) -> None:
    """Raise a `ConfigError` where two inputs would have the same file."""
    first: dict[Path, str] = {}
    for each in inputs:
        other = first.setdefault(each.output, each.name)
        if other is not each.name:
            message = f"{other} and {each.name} would both be written to {each.output}"
            raise ConfigError(message, cure="give the folder above them, or transcribe them one after the other")


def _is_audio(path: Path) -> bool:
    return path.suffix[1:].lower() in SUFFIXES and not any(part.startswith(".") for part in path.parts)
