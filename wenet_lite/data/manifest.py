"""Lists of utterances: `data.list` with one JSON line an utterance, or one tar shard a line."""

from __future__ import annotations

import functools
import json
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np

from wenet_lite.data.audio import AudioCommand, AudioFile, AudioSource, TarMember
from wenet_lite.data.list_index import INDEX_CURE, IndexHeader, index_path
from wenet_lite.errors import DataError

SCHEMA = 1
_LINE_BYTES = 1024
_MAX_SAMPLES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance of a list.

    Attributes:
        key: utterance id.
        wav: path of the audio file, a command that ends in `|`, or the shard that holds it.
        txt: transcript after the text rules.
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


@dataclass(frozen=True)
class Manifest(Sequence[Utterance]):
    """The utterances of a list. They stay on the disk, in the list or its indices, and are read when asked for.

    Attributes:
        files: the list itself, or the index of each shard.
        shards: the shards as the list has them; none for a list of utterances.
        starts: (files,) position of each file's first utterance.
        offsets: (utterances,) where each one's line begins in its file.
        num_samples: (utterances,) samples at the utterance's own rate.
        sample_rates: (utterances,) Hz.
        rejected: id and reason of each line that is no utterance: a second one with its id, or audio that the
            index found unreadable.
    """

    files: tuple[str, ...]
    shards: tuple[str, ...]
    starts: np.ndarray
    offsets: np.ndarray
    num_samples: np.ndarray
    sample_rates: np.ndarray
    rejected: tuple[tuple[str, str], ...] = field(default=())

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> list[Utterance]: ...
    def __getitem__(self, index: int | slice) -> Utterance | list[Utterance]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"{index} of {len(self)} utterances")
        index = int(index) % len(self)
        number = self.shard_of(index)
        tree = json.loads(_read_line(self.files[number], int(self.offsets[index])))
        rate, samples = int(self.sample_rates[index]), int(self.num_samples[index])
        if self.shards:
            tree["wav"] = local_path(self.shards[number]) or self.shards[number]
        return _utterance(tree, self.files[number], samples, rate)

    def __iter__(self) -> Iterator[Utterance]:
        return map(self.__getitem__, range(len(self)))

    @property
    def streamed(self) -> bool:
        """Whether a shard comes from a URL or a command, so that shards can be read in sequence only."""
        return any(local_path(shard) is None for shard in self.shards)

    @property
    def hours(self) -> float:
        """Of all utterances."""
        return float((self.num_samples / self.sample_rates).sum() / 3600)

    def shard_of(self, index: int) -> int:
        """Number of the file that holds utterance `index`."""
        return int(np.searchsorted(self.starts, index, side="right")) - 1


def write_manifest(utterances: Iterable[Utterance], path: str | os.PathLike[str]) -> int:
    """Write `data.list`, by rename; returns how many utterances."""
    target = Path(path)
    temporary = target.with_name(target.name + ".tmp")
    count = 0
    with open(temporary, "w", encoding="utf-8") as stream:
        for utterance in utterances:
            line = asdict(utterance)
            line = {key: value for key, value in line.items() if value is not None and (value or key != "speaker")}
            stream.write(json.dumps({**line, "schema": SCHEMA}, ensure_ascii=False) + "\n")
            count += 1
    temporary.replace(target)
    return count


def read_manifest(path: str | os.PathLike[str], *, allow_pipes: bool = False) -> Manifest:
    """Read a list of utterances or of shards; relative paths are taken from the list's folder.

    A list that has no durations (WeNet's), and each shard, needs its index.

    Args:
        path: the list.
        allow_pipes: whether its commands may be run.
    Raises:
        DataError: naming the line that is malformed, of another schema, or a command that is not allowed; or the
            index that is missing or older than what it describes.
    """
    builder = _Builder(allow_pipes)
    if is_shard_list(path):
        shards = read_shard_list(path, allow_pipes=allow_pipes)
        indices = [shard_index(shard, path) for shard in shards]
        if len(set(indices)) < len(indices):
            raise DataError(
                "has two shards with one index", path=path, cure="list each once, and name each differently"
            )
        for shard, index in zip(shards, indices):
            builder.add_shard(shard, index)
    else:
        shards = ()
        builder.add_list(path)
    manifest = builder.build(shards)
    if not len(manifest) and not manifest.rejected:
        raise DataError("lists no utterance", path=path, cure="make it anew with stage 3")
    return manifest


def list_lines(path: str | os.PathLike[str], *, allow_pipes: bool = False) -> Iterator[Utterance]:
    """The lines of a list of utterances, which need not tell how long they are; lengths are 0 then.

    Raises:
        DataError: naming the line that is malformed, or a command that is not allowed.
    """
    with _open(path) as stream:
        for number, line in enumerate(stream, 1):
            tree = parse_line(line, path, number)
            if tree["wav"].endswith("|") and not allow_pipes:
                raise _pipe_error(path, number)
            yield _utterance(tree, path, tree.get("num_samples", 0), tree.get("sample_rate", 1))


def is_shard_list(path: str | os.PathLike[str]) -> bool:
    """Whether a list has shards, not utterances.

    Raises:
        DataError: if it cannot be read.
    """
    with _open(path) as stream:
        first = next((line.strip() for line in stream if line.strip()), b"")
    return b".tar" in first and not first.startswith((b"{", b"["))


def read_shard_list(path: str | os.PathLike[str], *, allow_pipes: bool = False) -> tuple[str, ...]:
    """The shards of a list: local paths (made absolute), URLs, or commands.

    Raises:
        DataError: if it is not UTF-8, or has a command and `allow_pipes` is not given.
    """
    folder = os.path.dirname(os.path.abspath(path))
    shards = []
    with _open(path) as stream:
        for number, content in enumerate(stream, 1):
            try:
                shard = content.decode().strip()
            except UnicodeDecodeError as error:
                raise DataError("is not UTF-8", path=path, line=number) from error
            if not shard.isprintable():
                raise DataError("holds characters that no path has", path=path, line=number)
            if shard.endswith("|") and not allow_pipes:
                raise _pipe_error(path, number)
            local = local_path(shard)
            if shard:
                shards.append(shard if local is None else os.path.join(folder, local))
    return tuple(shards)


def local_path(shard: str) -> str | None:
    """The path of a shard on a local disk; None for one that comes from a URL or a command."""
    if shard.startswith("file:"):
        return shard.removeprefix("file:").removeprefix("//")
    return None if "://" in shard or shard.endswith("|") else shard


def shard_index(shard: str, list_path: str | os.PathLike[str]) -> str:
    """Where the index of a shard lies: beside it, or beside the list where it is not a local file."""
    local = local_path(shard)
    if local is not None:
        return index_path(local)
    names = [word.strip("'\";").rpartition("/")[2] for word in shard.split("?")[0].replace("|", " ").split()]
    name = next((name for name in reversed(names) if name.endswith(".tar")), "shard.tar")
    return index_path(os.path.join(os.path.dirname(os.path.abspath(list_path)), name))


class _Builder:
    """Gathers the arrays of a `Manifest`, line by line."""

    def __init__(self, allow_pipes: bool) -> None:
        self.allow_pipes = allow_pipes
        self.files: list[str] = []
        self.starts = array("q")
        self.offsets, self.samples, self.rates, self.hashes = array("q"), array("i"), array("i"), array("q")
        self.rejected: list[tuple[str, str]] = []

    def add_list(self, path: str | os.PathLike[str]) -> None:
        """Add the lines of a `data.list`."""
        self._start(path)
        indexed: Iterator[dict[str, Any]] | None = None
        offset = 0
        with _open(path) as stream:
            for number, line in enumerate(stream, 1):
                tree = parse_line(line, path, number)
                lacking = "num_samples" not in tree or "sample_rate" not in tree
                if indexed is None and lacking:
                    indexed = _index_of_list(path, number)
                    for _ in range(number - 1):
                        next(indexed, {})
                entry = {} if indexed is None else next(indexed, {})
                if lacking:
                    if entry.get("key") != tree["key"]:
                        raise DataError("is not the list that its index describes", path=path, cure=INDEX_CURE)
                    tree = {**tree, **entry}
                if tree["wav"].endswith("|") and not self.allow_pipes:
                    raise _pipe_error(path, number)
                self._add(tree, offset)
                offset += len(line)

    def add_shard(self, shard: str, index: str) -> None:
        """Add the lines of a shard's index."""
        self._start(index)
        local = local_path(shard)
        with _open(index, "index", INDEX_CURE) as stream:
            first = stream.readline()
            header = IndexHeader.parse(first, index)
            stale = local is not None and header.is_stale(local)
            offset = len(first)
            for number, line in enumerate(stream, 2):
                tree = parse_line(line, index, number, _SHARD_REQUIRED)
                if stale:
                    tree["error"] = f"{local}: is not the tar that its index describes ({INDEX_CURE})"
                self._add(tree, offset)
                offset += len(line)

    def build(self, shards: tuple[str, ...]) -> Manifest:
        """The manifest, without second utterances of one id."""
        offsets, samples, rates = (np.array(values) for values in (self.offsets, self.samples, self.rates))
        rejected = tuple(self.rejected)
        manifest = Manifest(tuple(self.files), shards, np.array(self.starts), offsets, samples, rates, rejected)
        repeated = self._repeated(manifest)
        if not repeated:
            return manifest
        keep = np.ones(len(manifest), dtype=bool)
        keep[list(repeated)] = False
        starts = np.searchsorted(np.flatnonzero(keep), manifest.starts)
        rejected = (*rejected, *((key, f"has the id '{key}' a second time") for key in repeated.values()))
        return Manifest(manifest.files, shards, starts, offsets[keep], samples[keep], rates[keep], rejected)

    def _start(self, file: str | os.PathLike[str]) -> None:
        self.files.append(os.fspath(file))
        self.starts.append(len(self.offsets))

    def _add(self, tree: dict[str, Any], offset: int) -> None:
        if "error" in tree:
            if (tree["key"], tree["error"]) not in self.rejected[-1:]:
                self.rejected.append((tree["key"], tree["error"]))
            return
        self.offsets.append(offset)
        self.samples.append(min(tree["num_samples"], _MAX_SAMPLES))
        self.rates.append(tree["sample_rate"])
        self.hashes.append(hash(tree["key"]))

    def _repeated(self, manifest: Manifest) -> dict[int, str]:
        """Position and id of each utterance whose id an earlier one has."""
        hashes = np.array(self.hashes)
        order = np.argsort(hashes, kind="stable")
        again = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
        suspects = sorted({int(order[i]) for i in again} | {int(order[i + 1]) for i in again})
        seen: set[str] = set()
        repeated = {}
        for index in suspects:
            key = manifest[index].key
            if key in seen:
                repeated[index] = key
            seen.add(key)
        return repeated


_TYPES: dict[str, type | tuple[type, ...]] = {
    "key": str,
    "wav": str,
    "txt": str,
    "duration": (int, float),
    "num_samples": int,
    "sample_rate": int,
    "speaker": str,
    "start": (int, float),
    "end": (int, float),
    "audio_offset": int,
    "audio_bytes": int,
    "error": str,
}
_LIST_REQUIRED = ("key", "wav", "txt")
_INDEX_REQUIRED = ("key", "num_samples", "sample_rate")
_SHARD_REQUIRED = (*_INDEX_REQUIRED, "txt", "audio_offset", "audio_bytes")


def parse_line(
    line: bytes, path: str | os.PathLike[str], number: int, required: Sequence[str] = _LIST_REQUIRED
) -> dict[str, Any]:
    """One JSON line with values of the right types; one with an `error` needs nothing but its key besides.

    Raises:
        DataError: naming the line and what is wrong with it.
    """
    try:
        tree: dict[str, Any] = json.loads(line)
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8", path=path, line=number) from error
    except (ValueError, RecursionError) as error:
        raise DataError("is not JSON", path=path, line=number) from error
    if not isinstance(tree, dict):
        raise DataError("is not a JSON object", path=path, line=number)
    if tree.get("schema", SCHEMA) != SCHEMA:
        raise DataError(f"has schema {tree['schema']}, known is {SCHEMA}", path=path, line=number)
    for name in ("key",) if "error" in tree else required:
        if name not in tree:
            raise DataError(f"lacks '{name}'", path=path, line=number, cure="make the list with stage 3")
    for name, types in _TYPES.items():
        if name in tree and (not isinstance(tree[name], types) or isinstance(tree[name], bool)):
            raise DataError(f"'{name}' has the wrong type: {tree[name]!r}", path=path, line=number)
    if tree.get("num_samples", 0) < 0 or not 0 < tree.get("sample_rate", 1) < 1 << 24:
        raise DataError("num_samples or sample_rate is out of range", path=path, line=number)
    if min(tree.get("audio_offset", 0), tree.get("audio_bytes", 0)) < 0:
        raise DataError("audio_offset or audio_bytes is negative", path=path, line=number)
    return tree


def _utterance(tree: dict[str, Any], path: str | os.PathLike[str], num_samples: int, sample_rate: int) -> Utterance:
    values = {name: tree[name] for name in Utterance.__slots__ if name in tree}
    values |= {"num_samples": num_samples, "sample_rate": sample_rate, "duration": round(num_samples / sample_rate, 4)}
    if not values["wav"].endswith("|") and "://" not in values["wav"]:
        values["wav"] = os.path.join(os.path.dirname(os.path.abspath(path)), values["wav"])
    return Utterance(**values)


def _index_of_list(path: str | os.PathLike[str], line: int) -> Iterator[dict[str, Any]]:
    index = index_path(path)
    if not os.path.exists(index):
        raise DataError("lacks 'num_samples', and the list has no index", path=path, line=line, cure=INDEX_CURE)
    with _open(index, "index", INDEX_CURE) as stream:
        if IndexHeader.parse(stream.readline(), index).is_stale(path):
            raise DataError("is not the list that its index describes", path=path, cure=INDEX_CURE)
        for number, content in enumerate(stream, 2):
            yield parse_line(content, index, number, _INDEX_REQUIRED)


def _pipe_error(path: str | os.PathLike[str], line: int) -> DataError:
    return DataError("is a command, which is not run unasked", path=path, line=line, cure="--allow-pipes runs it")


def _open(path: str | os.PathLike[str], what: str = "list", cure: str = "stage 3 makes it") -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise DataError(f"cannot read the {what}: {error.strerror}", path=path, cure=cure) from error


@functools.lru_cache(maxsize=64)
def _kept_open(path: str, size: int, time_ns: int) -> BinaryIO:
    return open(path, "rb")


def _read_line(path: str, offset: int) -> bytes:
    state = os.stat(path)
    stream = _kept_open(path, state.st_size, state.st_mtime_ns)
    line = b""
    while b"\n" not in line:
        portion = os.pread(stream.fileno(), _LINE_BYTES << bool(line), offset + len(line))
        if not portion:
            break
        line += portion
    return line.partition(b"\n")[0]
