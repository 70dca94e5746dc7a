"""The one pass over headers that a list without durations, or a shard without an index, needs."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from tqdm import tqdm

from wenet_lite.data.audio import audio_info
from wenet_lite.data.list_index import INDEX_CURE, IndexHeader, file_sha256, index_path, write_index
from wenet_lite.data.shard_list import is_shard_list, local_path, read_shard_list, shard_index
from wenet_lite.data.shards import tar_entries
from wenet_lite.data.utterance import Utterance, unindexed_utterances
from wenet_lite.errors import AudioError, DataError


def make_index(path: str | os.PathLike[str], jobs: int, *, allow_pipes: bool = False) -> tuple[int, dict[str, str]]:
    """Write the index of a list of utterances, or of each shard of a list of shards.

    Args:
        path: the list, WeNet's or ours.
        jobs: files read at a time.
        allow_pipes: whether its commands may be run.
    Returns:
        the number of utterances, and id and reason of each that cannot be read.
    Raises:
        DataError: if the list or a tar is malformed, or a shard is not a local file.
    """
    if is_shard_list(path):
        shards = read_shard_list(path, allow_pipes=allow_pipes)
        found = _in_parallel(ProcessPoolExecutor(jobs), functools.partial(index_shard, list_path=path), shards, "shard")
        entries = [entry for shard in found for entry in shard]
    else:
        utterances = unindexed_utterances(path, allow_pipes=allow_pipes)
        entries = _in_parallel(ThreadPoolExecutor(jobs), _lengths, utterances, "utt")
        write_index(IndexHeader(os.path.getsize(path), file_sha256(path)), entries, index_path(path))
    return len(entries), {entry["key"]: entry["error"] for entry in entries if "error" in entry}


def index_shard(shard: str, list_path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Write the index of one shard, from its headers; returns its entries.

    Raises:
        DataError: if it cannot be read as a local tar.
    """
    path = local_path(shard)
    if path is None:
        raise DataError(f"{shard} is no local file", path=list_path, cure="index it where it was made")
    entries = list(tar_entries(path))
    write_index(IndexHeader(os.path.getsize(path)), entries, shard_index(shard, list_path))
    return entries


def verify_shards(path: str | os.PathLike[str], jobs: int) -> int:
    """Read every shard of a list as a whole and compare it with its index; returns the number of shards.

    Raises:
        DataError: naming the first shard that is missing or is not what its index describes.
    """
    shards = read_shard_list(path)
    for shard, wrong in zip(shards, _in_parallel(ProcessPoolExecutor(jobs), _is_wrong, shards, "shard")):
        if wrong:
            raise DataError("is not the tar that its index describes", path=shard, cure="make the shard anew")
    return len(shards)


def _is_wrong(shard: str) -> bool:
    path = local_path(shard)
    if path is None:
        return True
    if not os.path.exists(index_path(path)):
        raise DataError("is missing", path=index_path(path), cure=INDEX_CURE)
    with open(index_path(path), "rb") as stream:
        header = IndexHeader.parse(stream.readline(), index_path(path))
    return header.is_stale(path) or header.sha256 not in ("", file_sha256(path))


def _lengths(utterance: Utterance) -> dict[str, Any]:
    try:
        info = audio_info(utterance.source)
    except AudioError as error:
        return {"key": utterance.key, "error": str(error)}
    num_samples = info.samples_between(utterance.start, utterance.end)
    return {"key": utterance.key, "num_samples": num_samples, "sample_rate": info.sample_rate}


def _in_parallel(executor: Executor, work: Callable[[Any], Any], items: Iterable[Any], unit: str) -> list[Any]:
    items = list(items)
    with executor as pool:
        return list(tqdm(pool.map(work, items), total=len(items), unit=unit, disable=None))
