"""WeNet's make_raw_list and make_shard_list: lists straight from wav.scp and text, without a lang directory."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from wenet_lite.data.kaldi import PathLike, read_table
from wenet_lite.data.manifest import write_manifest
from wenet_lite.data.prepare import spans_from, utterances_from
from wenet_lite.data.shards import ShardOptions, write_shard_list, write_shards
from wenet_lite.data.utterance import Utterance

logger = logging.getLogger(__name__)


def make_raw_list(wav_scp: PathLike, text: PathLike, output: PathLike, segments: PathLike | None) -> int:
    """Write `data.list` with the texts as they are; returns how many utterances.

    Raises:
        DataError: if a file is missing or malformed.
    """
    count = write_manifest(_utterances(wav_scp, text, segments), output)
    logger.info("%s: %d utterances", output, count)
    return count


def make_shard_list(
    wav_scp: PathLike,
    text: PathLike,
    shards_dir: PathLike,
    output: PathLike,
    options: ShardOptions,
    segments: PathLike | None,
    jobs: int,
) -> int:
    """Pack the utterances into tar shards with their indices and list those; returns how many shards.

    Raises:
        DataError: if a file is missing or malformed.
    """
    utterances = _utterances(wav_scp, text, segments)
    Path(output).unlink(missing_ok=True)  # it must not list tars that are being replaced
    shards, failed = write_shards(utterances, shards_dir, options, jobs)
    _report(failed)
    write_shard_list(shards, output)
    logger.info("%s: %d shards", output, len(shards))
    return len(shards)


def _utterances(wav_scp: PathLike, text: PathLike, segments: PathLike | None) -> list[Utterance]:
    texts = read_table(text)
    found, failed = utterances_from(texts, spans_from(wav_scp, segments), {}, os.fspath(wav_scp))
    _report(failed)
    return found


def _report(failed: dict[str, str]) -> None:
    for key, reason in failed.items():
        logger.warning("utterance %s left out: %s", key, reason)
