"""Losses of single utterances, in float32."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wenet_lite.model.mask import padding_mask

PAD = -1
"""Padding of target tokens."""


def ctc_loss(log_probs: Tensor, lens: Tensor, targets: Tensor, target_lens: Tensor) -> Tensor:
    """-log p(target | x) under CTC, 0 where no alignment exists.

    Args:
        log_probs: (batch, frames, vocab) log posteriors.
        lens: (batch,) valid frames.
        targets: (batch, length), padded by PAD.
        target_lens: (batch,).
    Returns:
        (batch,) losses.
    """
    return torch.nn.functional.ctc_loss(
        log_probs.transpose(0, 1), targets.clamp(min=0), lens, target_lens, reduction="none", zero_infinity=True
    )


def has_no_alignment(lens: Tensor, targets: Tensor, target_lens: Tensor) -> Tensor:
    """(batch,), true where a target needs more frames than there are: one a token, one blank between equal neighbours.

    Args:
        lens: (batch,) valid frames.
        targets: (batch, length), padded by PAD.
        target_lens: (batch,).
    """
    repeats = (targets[:, 1:] == targets[:, :-1]) & (targets[:, 1:] != PAD)
    return target_lens + repeats.sum(dim=1) > lens


def label_smoothing_loss(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Kullback-Leibler divergence from smoothed targets, summed over the tokens of an utterance.

    The target has probability 1 - smoothing, every other token smoothing / (vocab - 1).

    Args:
        logits: (batch, length, vocab).
        targets: (batch, length), padded by PAD.
        smoothing: weight of the other tokens.
    Returns:
        (batch,) losses.
    """
    vocab = logits.shape[-1]
    other = smoothing / (vocab - 1)
    log_probs = logits.float().log_softmax(dim=-1)
    of_target = log_probs.gather(2, targets.clamp(min=0).unsqueeze(2)).squeeze(2)
    cross_entropy = -(1 - smoothing - other) * of_target - other * log_probs.sum(dim=-1)
    entropy = -(1 - smoothing) * math.log(1 - smoothing)
    if smoothing > 0:
        entropy -= smoothing * math.log(other)
    return (cross_entropy - entropy).masked_fill(targets == PAD, 0.0).sum(dim=1)


def consistency_loss(first: Tensor, second: Tensor, lens: Tensor) -> Tensor:
    """How far two views' CTC posteriors are from each other (CR-CTC, arXiv 2410.05101, equation 4).

    The mean of both Kullback-Leibler divergences, each towards a target through which no gradient flows, summed over
    the frames of an utterance.

    Args:
        first, second: (batch, frames, vocab) log posteriors.
        lens: (batch,) valid frames.
    Returns:
        (batch,) losses.
    """
    divergence = torch.zeros_like(first[..., 0])
    for target, other in ((second.detach(), first), (first.detach(), second)):
        divergence = divergence + 0.5 * (target.exp() * (target - other)).sum(dim=-1)
    return divergence.masked_fill(~padding_mask(lens, first.shape[1]), 0.0).sum(dim=1)


def token_accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    """(batch,) part of each utterance's tokens that have the highest logit."""
    valid = targets != PAD
    right = (logits.argmax(dim=-1) == targets) & valid
    return right.sum(dim=1) / valid.sum(dim=1).clamp(min=1)
