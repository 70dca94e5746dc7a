"""Kaldi's tables (`wav.scp`, `text`, `utt2spk`, ...): one record a line, a key, a blank, a value.

Torch-free and numpy-free: the tools of tools/ start with this.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from wenet_lite.errors import DataError

PathLike = str | os.PathLike[str]


def read_table(path: PathLike) -> dict[str, str]:
    """Read a table into key -> value, in the order of the file; a line with a key alone has the value "".

    Blanks are space and tab, as for Kaldi: other Unicode blanks belong to the words.

    Raises:
        DataError: if the file cannot be read, is not UTF-8, or has an empty line or a key twice.
    """
    table: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        key_and_value = line.split(None, 1)
        if not key_and_value:
            raise DataError("is an empty line", path=path, line=number, cure="take it out")
        try:
            key = key_and_value[0].decode()
            value = key_and_value[1].rstrip().decode() if len(key_and_value) == 2 else ""
        except UnicodeDecodeError as error:
            raise DataError("is not UTF-8", path=path, line=number, cure="convert the file with iconv") from error
        if key in table:
            raise DataError(f"has the key '{key}' a second time", path=path, line=number, cure="keep one of them")
        table[key] = value
    return table


def write_table(path: PathLike, table: Mapping[str, str]) -> None:
    """Write a table sorted as `LC_ALL=C sort` does, to a temporary name that is then renamed.

    Raises:
        DataError: if a key is empty or holds a blank, or a value holds a line break.
    """
    # the order of code points is the order of UTF-8 bytes
    write_lines(path, (_format_line(path, key, table[key]) for key in sorted(table)))


def spk2utt_from(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """The table speaker -> "utt1 utt2 ...", utterances in the order in which `utt2spk` has them."""
    utterances: dict[str, list[str]] = {}
    for utterance, speaker in utt2spk.items():
        utterances.setdefault(speaker, []).append(utterance)
    return {speaker: " ".join(listed) for speaker, listed in utterances.items()}


def utt2spk_from(spk2utt: Mapping[str, str]) -> dict[str, str]:
    """The table utterance -> speaker.

    Raises:
        DataError: if two speakers have the same utterance.
    """
    utt2spk: dict[str, str] = {}
    for speaker, utterances in spk2utt.items():
        for utterance in re.findall(r"[^ \t]+", utterances):
            if utterance in utt2spk:
                raise DataError(f"utterance '{utterance}' belongs to '{utt2spk[utterance]}' and to '{speaker}'")
            utt2spk[utterance] = speaker
    return utt2spk


def read_lines(path: PathLike) -> list[bytes]:
    """The lines of a file without their line feeds.

    Raises:
        DataError: if the file cannot be read.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror}", path=path) from error
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


def write_lines(path: PathLike, lines: Iterable[bytes]) -> None:
    """Write lines, each closed by a line feed, to a temporary name that is then renamed.

    Raises:
        DataError: if there is no such folder.
    """
    with renamed_when_written(path) as stream:
        stream.writelines(line + b"\n" for line in lines)


@contextmanager
def renamed_when_written(path: PathLike) -> Iterator[BinaryIO]:
    """A temporary file to write; it becomes `path` when the block ends, and vanishes if the block fails.

    Raises:
        DataError: if there is no such folder.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise DataError("cannot be written: its folder does not exist", path=path)
    temporary = target.with_name(target.name + ".tmp")
    try:
        with open(temporary, "wb") as stream:
            yield stream
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _format_line(path: PathLike, key: str, value: str) -> bytes:
    if not key or key.encode().split() != [key.encode()]:
        raise DataError(f"cannot have the key '{key}', which is empty or holds a blank", path=path)
    if "\n" in value or "\r" in value:
        raise DataError(f"cannot have a line break in the value of '{key}'", path=path)
    return f"{key} {value}".rstrip(" ").encode()
