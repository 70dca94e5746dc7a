"""The CTC head."""

from __future__ import annotations

from torch import Tensor, nn


class Ctc(nn.Module):
    """A linear layer onto the vocabulary, blank at index 0.

    Args:
        dim: size of an encoder frame.
        vocab_size: tokens, blank included.
    """

    def __init__(self, dim: int, vocab_size: int) -> None:
        super().__init__()
        self.ctc_lo = nn.Linear(dim, vocab_size)

    def forward(self, encoder_out: Tensor) -> Tensor:
        """(batch, frames, dim) to (batch, frames, vocab) log posteriors, float32."""
        return self.ctc_lo(encoder_out).float().log_softmax(dim=-1)
