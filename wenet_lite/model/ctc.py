"""The CTC head, and one that speaks back to the layers above it."""

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


class SelfConditioning(nn.Module):
    """Adds an intermediate layer's CTC posteriors to what the next layer hears (arXiv 2104.02724).

    Args:
        dim: size of an encoder frame.
        vocab_size: tokens, blank included.
    """

    def __init__(self, dim: int, vocab_size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.ctc = Ctc(dim, vocab_size)
        self.back = nn.Linear(vocab_size, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frames, dim) to the same."""
        return x + self.back(self.log_probs(x).exp().to(x.dtype))

    def log_probs(self, x: Tensor) -> Tensor:
        """(batch, frames, dim) to (batch, frames, vocab) log posteriors, float32."""
        return self.ctc(self.norm(x))
