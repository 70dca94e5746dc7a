"""Batches of a whole list that is read once: every utterance, sorted by length."""

from __future__ import annotations

import numpy as np

from wenet_lite.data.batch_plan import BatchConfig, BatchPlan, EpochPlan
from wenet_lite.data.manifest import Manifest
from wenet_lite.data.shard_plan import ShardPlan

FRAMES_PER_S = 100


def feature_frames(manifest: Manifest) -> np.ndarray:
    """(utterances,) feature frames, about; at least 1."""
    return np.maximum(manifest.num_samples.astype(np.int64) * FRAMES_PER_S // manifest.sample_rates, 1)


def reading_plan(manifest: Manifest, max_frames: int, left_out: np.ndarray | None = None) -> EpochPlan:
    """Plan a list.

    Args:
        manifest: the list.
        max_frames: padded feature frames a batch holds at most, but for an utterance that alone has more.
        left_out: positions of utterances that are not read.
    """
    frames = feature_frames(manifest)
    left_out = np.zeros(0, dtype=np.int64) if left_out is None else left_out
    none = np.zeros_like(frames)
    if len(left_out) == len(frames):
        nothing = np.zeros(0, dtype=np.int64)
        return EpochPlan(nothing, nothing, nothing, np.zeros(1, dtype=np.int64), 1, 0.0)
    unusable = dict.fromkeys(left_out.tolist(), "is left out")
    budget = max(max_frames, int(np.delete(frames, left_out).max()))
    config = BatchConfig(budget, speed_factors=(1.0,), bucket_width=0.0, min_frames=0, max_frames_per_utterance=budget)
    if manifest.streamed:
        return ShardPlan(frames, none, config, seed=0, unusable=unusable, shard_starts=manifest.starts).epoch(0)
    return BatchPlan(frames, none, config, seed=0, unusable=unusable).epoch(0)
