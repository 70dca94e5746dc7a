"""CTC prefix beam search (Hannun et al., 2014, algorithm 1), whole utterances and streams.

Where numba is installed it is compiled, and fetches from the device the few posteriors a frame that are tried; else it
runs in tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from wenet_lite.decoding.compilation import HAS_NUMBA
from wenet_lite.decoding.fusion import NO_FUSION, Fusion
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.decoding.prefix_beam_tensors import TensorBeams


@dataclass(frozen=True)
class Tried:
    """The part of the posteriors that the search looks at.

    Attributes:
        values: (batch, frames, tried) log posteriors, float64, descending.
        tokens: (batch, frames, tried) these tokens; -1 where there are no more.
        lens: (batch,) valid frames.
    """

    values: Tensor
    tokens: Tensor
    lens: Tensor


class CtcPrefixBeam:
    """The search of one stream: feed it frames in any portions, ask it for its n-best at any time.

    Args:
        beam_size: prefixes kept, and tokens tried at each frame.
        blank_id: index of the CTC blank.
        fusion: hotwords and language model.
        compiled: whether it runs compiled; else in tensors, on a CPU.
    """

    def __init__(
        self, beam_size: int, blank_id: int, fusion: Fusion = NO_FUSION, *, compiled: bool = HAS_NUMBA
    ) -> None:
        self.beam_size = beam_size
        self._search = CtcPrefixBeamSearch(beam_size, blank_id, compiled=compiled)
        self._beam = self._search.begin(1, fusion, torch.device("cpu"))

    def advance(self, log_probs: Tensor) -> None:
        """Take (frames, vocab) log posteriors."""
        tried = self._search.tried(log_probs.unsqueeze(0), torch.tensor([len(log_probs)]))
        self._beam.advance(tried.values, tried.tokens, tried.lens)

    def hypotheses(self) -> list[Hypothesis]:
        """N-best, best first, if the text ends here; `score` is log p(prefix | x) with what fusion has added."""
        return self._beam.hypotheses()[0] or [Hypothesis((), 0.0)]

    def best(self) -> Hypothesis:
        """The first of `hypotheses`, without the work for the others."""
        return next(iter(self._beam.hypotheses(1)[0]), Hypothesis((), 0.0))


class Beams(Protocol):
    """The searches of a batch of streams."""

    def advance(self, values: Tensor, tokens: Tensor, lens: Tensor) -> None:
        """Take the frames of `Tried`."""

    def hypotheses(self, most: int | None = None) -> list[list[Hypothesis]]:
        """As `CtcPrefixBeam.hypotheses`, of each stream; the first `most`, or all."""


class CtcPrefixBeamSearch:
    """Prefix beam search over a batch of whole utterances.

    Args:
        beam_size: prefixes kept for each utterance, and tokens tried at each frame.
        blank_id: index of the CTC blank.
        compiled: whether it runs compiled; else in tensors, on the device of the posteriors.
    """

    def __init__(self, beam_size: int, blank_id: int, *, compiled: bool = HAS_NUMBA) -> None:
        self.beam_size, self.blank_id, self._compiled = beam_size, blank_id, compiled

    def __call__(
        self, log_probs: Tensor, lens: Tensor, fusions: Fusion | Sequence[Fusion] = NO_FUSION
    ) -> list[list[Hypothesis]]:
        """Search.

        Args:
            log_probs: (batch, frames, vocab) log posteriors, natural log.
            lens: (batch,) valid frames.
            fusions: hotwords and language model, of all utterances or of each.
        Returns:
            for each utterance its hypotheses, best first; `score` is log p(prefix | x) with what fusion has added.
            Posteriors that are no numbers have none.
        """
        return self.search(self.tried(log_probs, lens), fusions)

    def tried(self, log_probs: Tensor, lens: Tensor) -> Tried:
        """What `search` needs of the posteriors; to search several times it is found once."""
        size = min(self.beam_size, log_probs.shape[2])
        if self._compiled and log_probs.device.type == "cpu":
            from wenet_lite.decoding.prefix_beam_kernel import most_probable

            rows = log_probs.detach().float().flatten(0, 1).contiguous().numpy()
            values, tokens = (torch.from_numpy(found) for found in most_probable(rows, size))
            shape = *log_probs.shape[:2], size
            return Tried(values.view(shape), tokens.view(shape), lens)
        values, tokens = log_probs.topk(size, dim=2)
        return Tried(values.double(), tokens, lens)

    def search(self, tried: Tried, fusions: Fusion | Sequence[Fusion] = NO_FUSION) -> list[list[Hypothesis]]:
        """As a call, of what `tried` has found."""
        rows_of: dict[Fusion, list[int]] = {}
        for row in range(len(tried.lens)):
            rows_of.setdefault(fusions if isinstance(fusions, Fusion) else fusions[row], []).append(row)
        results: dict[int, list[Hypothesis]] = {}
        for fusion, rows in rows_of.items():
            beams = self.begin(len(rows), fusion, tried.values.device)
            beams.advance(tried.values[rows], tried.tokens[rows], tried.lens[rows])
            results.update(zip(rows, beams.hypotheses()))
        return [results[row] for row in range(len(tried.lens))]

    def begin(self, batch: int, fusion: Fusion, device: torch.device) -> Beams:
        """Searches of a batch of streams, before their first frames."""
        if not self._compiled:
            return TensorBeams(batch, self.beam_size, self.blank_id, fusion, device)
        from wenet_lite.decoding.prefix_beam_compiled import CompiledBeams

        return CompiledBeams(batch, self.beam_size, self.blank_id, fusion)
