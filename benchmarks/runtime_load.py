"""How many streams at real-time speed a model hears, by a clock of its own (see runtime.py)."""

from __future__ import annotations

import argparse
import heapq
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from measure import Row

from wenet_lite.runtime.recognizer import Recognizer

CORES = 2
LEFT_CHUNKS = 4
LATEST_S = 0.5
"""The 95th percentile of waits that a load is held to."""
CHUNKS = 16
"""Of each stream; the first quarter of all waits does not count."""
SAMPLE_RATE = 16000
MOST_STREAMS = 4096


def waits(recognizer: Recognizer, num_streams: int, batch: int) -> np.ndarray:
    """Seconds from the end of each chunk's audio to its partial text.

    Args:
        recognizer: hears the streams.
        num_streams: at real-time speed, their chunks spread over time.
        batch: streams that step together, at most.
    """
    stepper, chunk_s = recognizer.stepper(), recognizer.chunk_ms / 1000
    streams = [recognizer.open_stream(left_chunks=LEFT_CHUNKS) for _ in range(num_streams)]
    portion = recognizer.chunk_ms * SAMPLE_RATE // 1000
    noise = np.random.default_rng(0).standard_normal(2 * portion).astype(np.float32) * 0.05
    for stream in streams:
        stream.accept(noise[: portion // 4])  # what the front end looks ahead
    due = [((1 + index / num_streams) * chunk_s, index, CHUNKS) for index in range(num_streams)]
    heapq.heapify(due)
    clock, found = 0.0, []
    while due:
        clock = max(clock, due[0][0])
        ready = []
        while due and due[0][0] <= clock and len(ready) < batch:
            ready.append(heapq.heappop(due))
        started = time.perf_counter()
        for _, index, left in ready:
            streams[index].accept(noise[left * 97 :][:portion])
        stepper.step([streams[index] for _, index, _ in ready])
        assert all(isinstance(streams[index].partial, str) for _, index, _ in ready)
        clock += time.perf_counter() - started
        for arrived, index, left in ready:
            found.append(clock - arrived)
            if left > 1:
                heapq.heappush(due, (arrived + chunk_s, index, left - 1))
    return np.array(found[len(found) // 4 :])


def process_waits(model: Path, dtype: str, num_streams: int, batch: int) -> np.ndarray:
    """In a process of its own, on one thread."""
    torch.set_num_threads(1)
    return waits(_recognizer(model, dtype), num_streams, batch)


_loaded: dict[tuple[Path, str], Recognizer] = {}


def _recognizer(model: Path, dtype: str) -> Recognizer:
    if (model, dtype) not in _loaded:
        _loaded[model, dtype] = Recognizer(model, dtype=dtype)  # type: ignore[arg-type]
        waits(_loaded[model, dtype], 4, 4)  # what is compiled is compiled
    return _loaded[model, dtype]


def latency(pool: ProcessPoolExecutor, args: argparse.Namespace, num_streams: int, batch: int) -> np.ndarray:
    """50th, 95th and 99th percentile of waits, of streams that the cores share."""
    shares = [num_streams // CORES + (core < num_streams % CORES) for core in range(CORES)]
    tasks = [pool.submit(process_waits, args.model, args.dtype, share, batch) for share in shares if share]
    return np.percentile(np.concatenate([task.result() for task in tasks]), [50, 95, 99])


def most_streams(pool: ProcessPoolExecutor, args: argparse.Namespace, batch: int) -> tuple[int, np.ndarray]:
    """Streams at once whose waits have a 95th percentile below LATEST_S, to a twentieth, and their `latency`.

    A number that fails is tried once more, as waits grow at the edge from any disturbance; what is found is run again,
    and lowered until it holds twice.
    """

    def holds(num_streams: int) -> bool:
        return any(latency(pool, args, num_streams, batch)[1] < LATEST_S for _ in range(2))

    low, high = 0, CORES
    while high < MOST_STREAMS and holds(high):
        low, high = high, 2 * high
    while high - low > max(low // 20, 1):
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    low = max(low, 1)
    found = latency(pool, args, low, batch)
    while low > 1 and found[1] >= LATEST_S:
        low -= max(low // 20, 1)
        found = latency(pool, args, low, batch)
    return low, found


def load_figures(args: argparse.Namespace) -> Iterator[Row]:
    """Waits of one stream, and of as many as two cores hear, in batches and one by one."""
    context = multiprocessing.get_context("spawn")
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(CORES, mp_context=context) as pool:
        waits_alone = _milliseconds(latency(pool, args, 1, 1))
        yield Row(f"from a chunk's end to its text, {args.dtype}, one stream", "none", waits_alone, True)
        (together, waits_together), (one_by_one, _) = (most_streams(pool, args, batch) for batch in (32, 1))
        seen = f"{together} ({_milliseconds(waits_together)})"
        yield Row(f"streams on {CORES} cores with p95 under 500 ms, {args.dtype}", "none", seen, True)
        ratio = together / one_by_one
        seen = f"{ratio:.1f}x ({together} against {one_by_one})"
        yield Row(f"stepped in batches against one by one, {args.dtype}", "3x", seen, ratio >= 3)


def _milliseconds(percentiles: np.ndarray) -> str:
    return "p50, p95, p99: " + ", ".join(f"{1000 * wait:.0f}" for wait in percentiles) + " ms"
