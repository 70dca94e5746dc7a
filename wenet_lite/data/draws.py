"""Random numbers that belong to an utterance, so that they depend on no worker, rank or batch."""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np

Purpose = Literal["volume", "noise", "reverberation", "spectrum"]


def utterance_draws(seed: int, epoch: int, key: str, purpose: Purpose) -> np.random.Generator:
    """The random numbers of one purpose for one utterance in one epoch.

    Args:
        seed: the experiment's.
        epoch: from 0.
        key: utterance id.
        purpose: what is drawn; each has numbers of its own, so that to switch one on moves no other.
    """
    name = hashlib.blake2b(f"{seed} {epoch} {purpose} {key}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(name, "little")))
