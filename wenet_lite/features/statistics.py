"""CMVN statistics of utterances, in several processes and on several hosts."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import torch
from tqdm import tqdm

from wenet_lite.data.audio import read_audio, resample
from wenet_lite.data.audio_source import AudioCommand, AudioFile
from wenet_lite.distributed import World, gather_objects
from wenet_lite.errors import AudioError, DataError
from wenet_lite.features.cmvn import CmvnStats
from wenet_lite.features.fbank import SAMPLE_RATE, Fbank, FbankConfig

_PORTION = 64

Span = tuple[AudioFile | AudioCommand, float | None, float | None]
"""A recording, and start and end in seconds of what is taken of it."""


def compute_cmvn(
    spans: Sequence[Span], config: FbankConfig, num_jobs: int, world: World
) -> tuple[CmvnStats, dict[str, str]]:
    """Sum the features of utterances.

    The sum is taken in portions, in the order of `spans`, so it does not depend on the processes or ranks.

    Args:
        spans: what is summed; those of one recording best side by side.
        config: the front end; no dither is added.
        num_jobs: processes of this rank.
        world: the ranks that share the work.
    Returns:
        the statistics, and recording and reason of each span that could not be read; the same on every rank.
    """
    portions = [spans[first : first + _PORTION] for first in range(0, len(spans), _PORTION)]
    mine = portions[world.rank :: world.size]
    work = functools.partial(_stats_of, config=config)
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(num_jobs, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            found = list(tqdm(pool.map(work, mine), total=len(mine), unit="portion", disable=None))
    except BrokenProcessPool as error:
        raise DataError("a process that summed features was killed", cure="lower --jobs, if memory ran out") from error
    total = CmvnStats.of(torch.zeros(0, config.num_mel_bins))
    failed: dict[str, str] = {}
    of_ranks = gather_objects(found, world)
    for number in range(len(portions)):
        stats, failures = of_ranks[number % world.size][number // world.size]
        total = total + stats
        failed.update(failures)
    return total, failed


def _stats_of(spans: Sequence[Span], config: FbankConfig) -> tuple[CmvnStats, dict[str, str]]:
    total = CmvnStats.of(torch.zeros(0, config.num_mel_bins))
    failed: dict[str, str] = {}
    fbank = Fbank(config).eval()
    for source, start, end in spans:
        try:
            samples, rate = read_audio(source, start, end)
        except AudioError as error:
            failed[f"{source} from {start or 0} s"] = str(error)
            continue
        waveform = torch.from_numpy(resample(samples, rate, SAMPLE_RATE)).unsqueeze(0)
        features, _ = fbank(waveform, torch.tensor([waveform.shape[1]]))
        total = total + CmvnStats.of(features[0])
    return total, failed
