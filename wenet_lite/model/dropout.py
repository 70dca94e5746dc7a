"""Dropout that is cheap on a CPU too."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def check_dropout_rates(config: object) -> None:
    """Refuse rates of a configuration, fields whose names end in `dropout_rate`, that are none.

    Raises:
        ValueError: naming the first that is not from 0 to less than 1.
    """
    for name, value in vars(config).items():
        if name.endswith("dropout_rate") and not 0 <= value < 1:
            raise ValueError(f"{name} must be at least 0 and less than 1")


class Dropout(nn.Dropout):
    """Zero elements with probability `p` in training, and scale up the others.

    On a CPU torch's own draws a Bernoulli variate for each element, a tenth of a Conformer's training step, and keeps
    a float of each for the backward pass. Here an element takes 16 random bits, and a byte is kept; so `p`, less than
    1, is rounded to a multiple of 2 ** -16 there.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(...) to (...)."""
        if not self.training or self.p == 0.0:
            return input
        if torch.jit.is_scripting() or input.device.type != "cpu":  # type: ignore[attr-defined]
            return nn.functional.dropout(input, self.p)
        words = torch.empty((input.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        threshold = round(self.p * 2**16)
        kept = words.view(torch.int16)[: input.numel()].view(input.shape) >= threshold - 2**15
        return input * kept * (2**16 / (2**16 - threshold))
