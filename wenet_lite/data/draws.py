"""Random numbers that belong to an utterance or an epoch, so that they depend on no worker, rank or batch."""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np

Purpose = Literal["volume", "noise", "reverberation", "spectrum"]


def epoch_draws(seed: int, epoch: int, purpose: int) -> np.random.Generator:
    """The random numbers of one purpose in one epoch."""
    return np.random.default_rng([seed, epoch, purpose])


def utterance_draws(seed: int, occurrence: int, key: str, purpose: Purpose) -> np.random.Generator:
    """The random numbers of one purpose for one occurrence of an utterance.

    Args:
        seed: the experiment's.
        occurrence: how often the utterance was taken before; the epoch's number where its list has weight 1.
        key: utterance id.
        purpose: what is drawn; each has numbers of its own, so that to switch one on moves no other.
    """
    name = hashlib.blake2b(f"{seed} {occurrence} {purpose} {key}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(name, "little")))
