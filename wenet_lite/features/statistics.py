"""CMVN statistics of a list of audio files, in several processes."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Sequence

import torch
from tqdm import tqdm

from wenet_lite.data.audio import read_audio, resample
from wenet_lite.errors import AudioError
from wenet_lite.features.cmvn import CmvnStats
from wenet_lite.features.fbank import SAMPLE_RATE, Fbank, FbankConfig


def compute_cmvn(paths: Sequence[str], config: FbankConfig, num_jobs: int) -> tuple[CmvnStats, dict[str, str]]:
    """Sum the features of whole recordings.

    Args:
        paths: audio files.
        config: the front end; no dither is added.
        num_jobs: processes.
    Returns:
        the statistics, and path and reason of each file that could not be read. The sum is taken in
        the order of `paths`, so it does not depend on `num_jobs`.
    """
    total = CmvnStats.of(torch.zeros(0, config.num_mel_bins))
    failed: dict[str, str] = {}
    work = functools.partial(_stats_of, config=config)
    with multiprocessing.get_context("spawn").Pool(num_jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        results = pool.imap(work, paths, chunksize=16)
        for path, result in tqdm(zip(paths, results), total=len(paths), unit="file", disable=None):
            if isinstance(result, str):
                failed[path] = result
            else:
                total = total + result
    return total, failed


def _stats_of(path: str, config: FbankConfig) -> CmvnStats | str:
    try:
        samples, rate = read_audio(path)
    except AudioError as error:
        return str(error)
    waveform = torch.from_numpy(resample(samples, rate, SAMPLE_RATE)).unsqueeze(0)
    features, _ = Fbank(config).eval()(waveform, torch.tensor([waveform.shape[1]]))
    return CmvnStats.of(features[0])
