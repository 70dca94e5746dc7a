"""Lists of utterances: `data.list` with one JSON line an utterance, or one tar shard a line."""

from __future__ import annotations

import bisect
import json
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, overload

import numpy as np

from wenet_lite.data.kaldi import renamed_when_written
from wenet_lite.data.list_index import INDEX_CURE, IndexHeader, index_path
from wenet_lite.data.list_line import (
    INDEX_REQUIRED,
    SCHEMA,
    SHARD_REQUIRED,
    command_error,
    open_list,
    parse_line,
    read_line_at,
)
from wenet_lite.data.shard_list import is_shard_list, local_path, read_shard_list, shard_index
from wenet_lite.data.utterance import Utterance, utterance_of_line
from wenet_lite.errors import DataError

_MAX_SAMPLES = 2**31 - 1


@dataclass(frozen=True)
class ListPart:
    """What a manifest has of one list.

    Attributes:
        path: of the list.
        indices: positions of its utterances in the manifest.
        rejected: id and reason of each line that is no utterance: a second one with its id, or audio that the
            index found unreadable.
    """

    path: str
    indices: range
    rejected: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Manifest(Sequence[Utterance]):
    """The utterances of lists. They stay on the disk, in the lists or their indices, and are read when asked for.

    Attributes:
        files: each list of utterances itself, and the index of each shard.
        shards: (files,) the shards as their lists have them; "" for a list of utterances.
        starts: (files,) position of each file's first utterance.
        offsets: (utterances,) where each one's line begins in its file.
        num_samples: (utterances,) samples at the utterance's own rate.
        sample_rates: (utterances,) Hz.
        parts: the lists, in their order.
    """

    files: tuple[str, ...]
    shards: tuple[str, ...]
    starts: np.ndarray
    offsets: np.ndarray
    num_samples: np.ndarray
    sample_rates: np.ndarray
    parts: tuple[ListPart, ...] = ()

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
        tree = json.loads(read_line_at(self.files[number], int(self.offsets[index])))
        rate, samples = int(self.sample_rates[index]), int(self.num_samples[index])
        if self.shards[number]:
            tree["wav"] = local_path(self.shards[number]) or self.shards[number]
        return utterance_of_line(tree, self.files[number], samples, rate)

    def __iter__(self) -> Iterator[Utterance]:
        return map(self.__getitem__, range(len(self)))

    @property
    def streamed(self) -> bool:
        """Whether a shard comes from a URL or a command, so that shards can be read in sequence only."""
        return any(local_path(shard) is None for shard in self.shards)

    @property
    def seconds(self) -> np.ndarray:
        """(utterances,) duration of each."""
        return self.num_samples / self.sample_rates

    @property
    def rejected(self) -> tuple[tuple[str, str], ...]:
        """Id and reason of each line of any list that is no utterance."""
        return tuple(line for part in self.parts for line in part.rejected)

    def shard_of(self, index: int) -> int:
        """Number of the file that holds utterance `index`."""
        return int(np.searchsorted(self.starts, index, side="right")) - 1


def write_manifest(utterances: Iterable[Utterance], path: str | os.PathLike[str]) -> int:
    """Write `data.list`, by rename; returns how many utterances."""
    count = 0
    with renamed_when_written(path) as stream:
        for utterance in utterances:
            line = asdict(utterance)
            line = {key: value for key, value in line.items() if value is not None and (value or key != "speaker")}
            stream.write(json.dumps({**line, "schema": SCHEMA}, ensure_ascii=False).encode() + b"\n")
            count += 1
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
    return read_manifests([path], allow_pipes=allow_pipes)


def read_manifests(paths: Sequence[str | os.PathLike[str]], *, allow_pipes: bool = False) -> Manifest:
    """Read several lists into one manifest, each as `read_manifest` does.

    Raises:
        DataError: as `read_manifest`; or if two lists have one utterance id, or a list of utterances is mixed with
            shards that are read as streams.
    """
    builder = _Builder(allow_pipes)
    real_paths = [os.path.realpath(path) for path in paths]
    for number, path in enumerate(paths):
        if real_paths[number] in real_paths[:number]:
            raise DataError("is given twice", path=path, cure=f"give it once, with a weight: {os.fspath(path)}:2")
        builder.add(path)
    manifest = builder.build()
    for part in manifest.parts:
        if not part.indices and not part.rejected:
            raise DataError("lists no utterance", path=part.path, cure="make it anew with stage 3")
    if manifest.streamed and "" in manifest.shards:
        raise DataError(
            "is a list of utterances, and another list has shards that are read as streams",
            path=manifest.files[manifest.shards.index("")],
            cure="pack it with make_shards",
        )
    return manifest


class _Builder:
    """Gathers the arrays of a `Manifest`, line by line."""

    def __init__(self, allow_pipes: bool) -> None:
        self.allow_pipes = allow_pipes
        self.paths: list[str] = []
        self.list_starts: list[int] = []
        self.rejected: list[list[tuple[str, str]]] = []
        self.files: list[str] = []
        self.shards: list[str] = []
        self.starts = array("q")
        self.offsets, self.samples, self.rates, self.hashes = array("q"), array("i"), array("i"), array("q")

    def add(self, path: str | os.PathLike[str]) -> None:
        """Add a list of utterances or of shards."""
        self.paths.append(os.fspath(path))
        self.list_starts.append(len(self.offsets))
        self.rejected.append([])
        if not is_shard_list(path):
            self._add_utterances(path)
            return
        shards = read_shard_list(path, allow_pipes=self.allow_pipes)
        indices = [shard_index(shard, path) for shard in shards]
        if len(set(indices)) < len(indices):
            raise DataError(
                "has two shards with one index", path=path, cure="list each once, and name each differently"
            )
        for shard, index in zip(shards, indices):
            self._add_shard(shard, index)

    def build(self) -> Manifest:
        """The manifest, without second utterances of one id in a list.

        Raises:
            DataError: if two lists have one id.
        """
        files, shards, starts = tuple(self.files), tuple(self.shards), np.array(self.starts)
        offsets, samples, rates = (np.array(values) for values in (self.offsets, self.samples, self.rates))
        repeated = self._repeated(Manifest(files, shards, starts, offsets, samples, rates))
        for index, key in repeated.items():
            self.rejected[self._list_of(index)].append((key, f"has the id '{key}' a second time"))
        keep = np.ones(len(offsets), dtype=bool)
        keep[list(repeated)] = False
        kept_before = np.concatenate([[0], np.cumsum(keep)])
        bounds = kept_before[[*self.list_starts, len(offsets)]].tolist()
        spans = map(range, bounds[:-1], bounds[1:])
        parts = tuple(map(ListPart, self.paths, spans, map(tuple, self.rejected)))
        return Manifest(files, shards, kept_before[starts], offsets[keep], samples[keep], rates[keep], parts)

    def _add_utterances(self, path: str | os.PathLike[str]) -> None:
        self._start_file(path, "")
        indexed: Iterator[dict[str, Any]] | None = None
        offset = 0
        with open_list(path) as stream:
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
                    raise command_error(path, number)
                self._add_line(tree, offset)
                offset += len(line)

    def _add_shard(self, shard: str, index: str) -> None:
        self._start_file(index, shard)
        local = local_path(shard)
        with open_list(index, "index", INDEX_CURE) as stream:
            first = stream.readline()
            header = IndexHeader.parse(first, index)
            stale = local is not None and header.is_stale(local)
            offset = len(first)
            for number, line in enumerate(stream, 2):
                tree = parse_line(line, index, number, SHARD_REQUIRED)
                if stale:
                    tree["error"] = f"{local}: is not the tar that its index describes ({INDEX_CURE})"
                self._add_line(tree, offset)
                offset += len(line)

    def _start_file(self, file: str | os.PathLike[str], shard: str) -> None:
        self.files.append(os.fspath(file))
        self.shards.append(shard)
        self.starts.append(len(self.offsets))

    def _add_line(self, tree: dict[str, Any], offset: int) -> None:
        if "error" in tree:
            rejected = self.rejected[-1]
            if (tree["key"], tree["error"]) not in rejected[-1:]:
                rejected.append((tree["key"], tree["error"]))
            return
        self.offsets.append(offset)
        self.samples.append(min(tree["num_samples"], _MAX_SAMPLES))
        self.rates.append(tree["sample_rate"])
        self.hashes.append(hash(tree["key"]))

    def _list_of(self, index: int) -> int:
        return bisect.bisect_right(self.list_starts, index) - 1

    def _repeated(self, manifest: Manifest) -> dict[int, str]:
        """Position and id of each utterance whose id an earlier one of its list has."""
        hashes = np.array(self.hashes)
        order = np.argsort(hashes, kind="stable")
        again = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
        suspects = sorted({int(order[i]) for i in again} | {int(order[i + 1]) for i in again})
        list_of_key: dict[str, int] = {}
        repeated = {}
        for index in suspects:
            key, its_list = manifest[index].key, self._list_of(index)
            if key not in list_of_key:
                list_of_key[key] = its_list
            elif list_of_key[key] == its_list:
                repeated[index] = key
            else:
                raise DataError(
                    f"has utterance {key}, which is in {self.paths[list_of_key[key]]} too",
                    path=self.paths[its_list],
                    cure="rename it if it is another one; a weight takes a list more often",
                )
        return repeated


def _index_of_list(path: str | os.PathLike[str], line: int) -> Iterator[dict[str, Any]]:
    index = index_path(path)
    if not os.path.exists(index):
        raise DataError("lacks 'num_samples', and the list has no index", path=path, line=line, cure=INDEX_CURE)
    with open_list(index, "index", INDEX_CURE) as stream:
        if IndexHeader.parse(stream.readline(), index).is_stale(path):
            raise DataError("is not the list that its index describes", path=path, cure=INDEX_CURE)
        for number, content in enumerate(stream, 2):
            yield parse_line(content, index, number, INDEX_REQUIRED)
