"""CTC's opinion on prefixes that another search grows token by token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from wenet_lite.model.mask import padding_mask

_LEAST = -1e4
"""Stands for the logarithm of 0, for differences of sums to exist."""


@dataclass(frozen=True)
class CtcPrefixes:
    """Prefixes, and how likely the first frames are to spell exactly them.

    Attributes:
        last: (batch, prefixes) last token; -1 where there is none.
        nonblank: (batch, prefixes, frames + 1) log p of paths that end with the last token, after 0 and more frames.
        blank: the same of paths that end with a blank.
    """

    last: Tensor
    nonblank: Tensor
    blank: Tensor

    def select(self, prefixes: Tensor) -> CtcPrefixes:
        """(batch, prefixes) some of each utterance's, by their indices."""
        index = prefixes.unsqueeze(2).expand(-1, -1, self.blank.shape[2])
        return CtcPrefixes(self.last.gather(1, prefixes), self.nonblank.gather(1, index), self.blank.gather(1, index))


class CtcPrefixScorer:
    """CTC prefix probabilities, for many prefixes of a batch at once (Watanabe et al., 2017, algorithm 2).

    The recursion over frames, r(t) = (r(t-1) + arriving(t-1)) p(t), is there in closed form: r(t) is P(t) times the
    sum of arriving(s-1) / P(s-1) over s up to t, where P is the cumulative product of p; in double precision, since
    logarithms of P are large.

    Args:
        log_probs: (batch, frames, vocab) CTC log posteriors.
        lens: (batch,) valid frames.
        blank_id: index of the CTC blank.
    """

    def __init__(self, log_probs: Tensor, lens: Tensor, blank_id: int) -> None:
        self.log_probs = log_probs
        self.padding = ~padding_mask(lens, log_probs.shape[1]).unsqueeze(1)
        of_blank = log_probs[:, :, blank_id].double().clamp(min=_LEAST).unsqueeze(1)
        self.blank = of_blank.masked_fill(self.padding, 0.0)  # a whole path stays what it is
        self.blanks = self.blank.cumsum(dim=2)

    def start(self, num_prefixes: int) -> CtcPrefixes:
        """So many empty prefixes of each utterance."""
        blank = pad(self.blanks, (1, 0)).expand(-1, num_prefixes, -1)
        last = torch.full(blank.shape[:2], -1, device=blank.device)
        return CtcPrefixes(last, torch.full_like(blank, -torch.inf), blank)

    def whole(self, prefixes: CtcPrefixes) -> Tensor:
        """(batch, prefixes) log p(prefix | x), with nothing after it."""
        return torch.logaddexp(prefixes.nonblank[:, :, -1], prefixes.blank[:, :, -1])

    def extended(self, prefixes: CtcPrefixes, tokens: Tensor) -> Tensor:
        """How likely prefixes with one more token are to begin the sequence.

        Args:
            prefixes: of (batch, prefixes).
            tokens: (batch, prefixes, tokens) candidates for the next token of each; not the blank.
        Returns:
            (batch, prefixes, tokens) log p(prefix, token, ... | x).
        """
        first = self._arriving(prefixes, tokens) + self._emitted(tokens)
        return first.masked_fill(self.padding.unsqueeze(1), -torch.inf).logsumexp(dim=3)

    def extend(self, prefixes: CtcPrefixes, tokens: Tensor) -> CtcPrefixes:
        """The prefixes with one more token each.

        Args:
            prefixes: of (batch, prefixes).
            tokens: (batch, prefixes).
        """
        emitted = self._emitted(tokens.unsqueeze(2)).squeeze(2)
        sums = emitted.cumsum(dim=2)
        arriving = self._arriving(prefixes, tokens.unsqueeze(2)).squeeze(2)
        nonblank = sums + (arriving - (sums - emitted)).logcumsumexp(dim=2)
        nonblank = pad(nonblank.masked_fill(self.padding, -torch.inf), (1, 0), value=-torch.inf)
        blank = self.blanks + (nonblank[:, :, :-1] - (self.blanks - self.blank)).logcumsumexp(dim=2)
        return CtcPrefixes(tokens, nonblank, pad(blank, (1, 0), value=-torch.inf))

    def _arriving(self, prefixes: CtcPrefixes, tokens: Tensor) -> Tensor:
        """(batch, prefixes, tokens, frames) log p of the prefix before a frame, where a token may follow in it.

        A token follows its like only after a blank.
        """
        either = torch.logaddexp(prefixes.nonblank, prefixes.blank)
        repeated = tokens == prefixes.last.unsqueeze(2)
        return torch.where(repeated.unsqueeze(3), prefixes.blank.unsqueeze(2), either.unsqueeze(2))[..., :-1]

    def _emitted(self, tokens: Tensor) -> Tensor:
        """(batch, prefixes, tokens, frames) log p of tokens in each frame."""
        index = tokens.flatten(1).unsqueeze(1).expand(-1, self.log_probs.shape[1], -1)
        emitted = self.log_probs.gather(2, index).transpose(1, 2).double().clamp(min=_LEAST)
        return emitted.reshape(*tokens.shape, -1)
