"""CTC prefix beam search (Hannun et al., 2014, algorithm 1), whole utterances and streams.

Where numba is installed it is compiled, and fetches from the device the few posteriors a frame that are tried; else it
runs in tensors.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from wenet_lite.decoding.fusion import NO_FUSION, Fusion
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.decoding.prefix_beam_tensors import TensorBeams

HAS_NUMBA = importlib.util.find_spec("numba") is not None


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
        self._beam = _begin(beam_size, blank_id, fusion, 1, torch.device("cpu"), compiled)

    def advance(self, log_probs: Tensor) -> None:
        """Take (frames, vocab) log posteriors."""
        self._beam.advance(log_probs.unsqueeze(0), torch.tensor([len(log_probs)]))

    def hypotheses(self) -> list[Hypothesis]:
        """N-best, best first, if the text ends here; `score` is log p(prefix | x) with what fusion has added."""
        return self._beam.hypotheses()[0]


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
        """
        rows_of: dict[Fusion, list[int]] = {}
        for row in range(len(lens)):
            rows_of.setdefault(fusions if isinstance(fusions, Fusion) else fusions[row], []).append(row)
        results: dict[int, list[Hypothesis]] = {}
        for fusion, rows in rows_of.items():
            beams = _begin(self.beam_size, self.blank_id, fusion, len(rows), log_probs.device, self._compiled)
            beams.advance(log_probs if len(rows) == len(lens) else log_probs[rows], lens[rows])
            results.update(zip(rows, beams.hypotheses()))
        return [results[row] for row in range(len(lens))]


class _Beams(Protocol):
    """The searches of a batch of streams."""

    def advance(self, log_probs: Tensor, lens: Tensor) -> None: ...

    def hypotheses(self) -> list[list[Hypothesis]]: ...


def _begin(beam_size: int, blank_id: int, fusion: Fusion, batch: int, device: torch.device, compiled: bool) -> _Beams:
    if not compiled:
        return TensorBeams(batch, beam_size, blank_id, fusion, device)
    from wenet_lite.decoding.prefix_beam_compiled import CompiledBeams

    return CompiledBeams(batch, beam_size, blank_id, fusion)
