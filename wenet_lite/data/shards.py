"""Tar shards: utterances packed into files of a thousand or so, each with an index beside it."""

from __future__ import annotations

import functools
import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import soundfile

from wenet_lite.data.audio import read_audio, resample
from wenet_lite.data.audio_source import SUFFIXES, TarMember
from wenet_lite.data.kaldi import write_lines
from wenet_lite.data.list_index import IndexHeader, file_sha256, index_path, write_index
from wenet_lite.data.sound_file import known_length
from wenet_lite.data.utterance import Utterance
from wenet_lite.errors import AudioError, DataError


@dataclass(frozen=True)
class ShardOptions:
    """Attributes:
    utterances_per_shard: how many a tar holds; the last one has the rest.
    audio_format: lossless 16-bit FLAC, or 16-bit WAV.
    sample_rate: Hz to resample to; 0 keeps each utterance's own.
    prefix: what the names of the tars begin with.
    """

    utterances_per_shard: int = 1000
    audio_format: Literal["flac", "wav"] = "flac"
    sample_rate: int = 0
    prefix: str = "shards"


def write_shards(
    utterances: Sequence[Utterance], folder: str | os.PathLike[str], options: ShardOptions, jobs: int
) -> tuple[list[str], dict[str, str]]:
    """Pack utterances into `<prefix>_<9 digits>.tar`, each with its index; segments are cut out.

    Args:
        utterances: in the order in which they are packed.
        folder: receives tars and indices.
        options: format and size.
        jobs: processes.
    Returns:
        the paths of the tars, and id and reason of each utterance that could not be read.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    size = options.utterances_per_shard
    parts = [list(utterances[first : first + size]) for first in range(0, len(utterances), size)]
    paths = [os.fspath(target / f"{options.prefix}_{number:09d}.tar") for number in range(len(parts))]
    with ProcessPoolExecutor(jobs) as pool:
        failures = list(pool.map(functools.partial(_write_shard, options=options), parts, paths))
    return paths, {key: reason for failed in failures for key, reason in failed.items()}


def _write_shard(utterances: Sequence[Utterance], path: str, options: ShardOptions) -> dict[str, str]:
    failed: dict[str, str] = {}
    temporary = path + ".tmp"
    with tarfile.open(temporary, "w", format=tarfile.GNU_FORMAT) as tar:
        for utterance in utterances:
            try:
                content = _encode(utterance, options)
            except AudioError as error:
                failed[utterance.key] = str(error)
                continue
            _add(tar, f"{utterance.key}.txt", utterance.txt.encode())
            _add(tar, f"{utterance.key}.{options.audio_format}", content)
    Path(path).unlink(missing_ok=True)  # an index never lies beside a tar that it does not describe
    speakers = {utterance.key: utterance.speaker for utterance in utterances}
    entries = [{**entry, "speaker": speakers[entry["key"]]} for entry in tar_entries(temporary)]
    write_index(IndexHeader(os.path.getsize(temporary), file_sha256(temporary)), entries, index_path(path))
    os.replace(temporary, path)
    return failed


def _encode(utterance: Utterance, options: ShardOptions) -> bytes:
    samples, rate = read_audio(utterance.source, utterance.start, utterance.end)
    if options.sample_rate:
        samples, rate = resample(samples, rate, options.sample_rate), options.sample_rate
    stream = io.BytesIO()
    # libsndfile rounds and clips: a sample of +1.0 becomes 32767, it does not wrap
    soundfile.write(stream, samples, rate, subtype="PCM_16", format=options.audio_format.upper())
    return stream.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # time 0 and no owner: the same utterances make the same bytes
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def tar_entries(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The lines of a tar's index, read from its headers and those of its audio.

    An utterance is `<key>.txt` beside `<key>.<audio suffix>`, in either order, as WeNet has it.

    Yields:
        for each utterance its key, offsets, sizes, lengths and text, or its key and what is wrong with it.
    Raises:
        DataError: if the tar cannot be read.
    """
    try:
        with tarfile.open(path, "r:") as tar, open(path, "rb") as stream:
            group: dict[str, tarfile.TarInfo] = {}
            key = None
            for member in tar:
                if not member.isfile():
                    continue
                name, _, suffix = member.name.rpartition(".")
                if key is not None and name != key:
                    yield _entry(key, group, stream)
                    group = {}
                key = name
                group[suffix.lower()] = member
            if key is not None:
                yield _entry(key, group, stream)
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"cannot be read as a tar: {error}", path=path, cure="make the shard anew") from error


def _entry(key: str, group: dict[str, tarfile.TarInfo], stream: BinaryIO) -> dict[str, Any]:
    audio = next((group[suffix] for suffix in SUFFIXES if suffix in group), None)
    text = group.get("txt")
    if audio is None or text is None:
        lacking = "transcript" if text is None else "audio"
        return {"key": key, "error": f"lies in its tar without {lacking} beside it"}
    stream.seek(text.offset_data)
    try:
        txt = stream.read(text.size).decode().strip()
        info = soundfile.info(_Window(stream, audio.offset_data, audio.size))
        num_samples = known_length(info.frames, TarMember(stream.name, key, audio.offset_data, audio.size))
    except UnicodeDecodeError:
        return {"key": key, "error": "has a transcript that is not UTF-8"}
    except AudioError as error:
        return {"key": key, "error": str(error)}
    except (soundfile.LibsndfileError, OSError) as error:
        return {"key": key, "error": f"cannot be decoded: {getattr(error, 'error_string', error)}"}
    return {
        "key": key,
        "audio_offset": audio.offset_data,
        "audio_bytes": audio.size,
        "txt_offset": text.offset_data,
        "txt_bytes": text.size,
        "num_samples": num_samples,
        "sample_rate": info.samplerate,
        "txt": txt,
    }


class _Window(io.RawIOBase):
    """A span of a file as a file, so that reading a header reads no more than it."""

    def __init__(self, stream: BinaryIO, offset: int, size: int) -> None:
        self._stream, self._offset, self._size, self._position = stream, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        count = max(min(len(buffer), self._size - self._position), 0)
        self._stream.seek(self._offset + self._position)
        content = self._stream.read(count)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


def write_shard_list(paths: Sequence[str], path: str | os.PathLike[str]) -> None:
    """Write a list of shards, one a line, by rename."""
    write_lines(path, (os.path.abspath(shard).encode() for shard in paths))
