"""CTC greedy search."""

from __future__ import annotations

from torch import Tensor

from wenet_lite.decoding.options import Hypothesis


class CtcGreedySearch:
    """The best token of each frame, repeats merged, blanks dropped (Graves et al., 2006, section 3.2).

    Args:
        blank_id: index of the CTC blank.
    """

    def __init__(self, blank_id: int) -> None:
        self.blank_id = blank_id

    def __call__(self, log_probs: Tensor, lens: Tensor) -> list[list[Hypothesis]]:
        """Search.

        Args:
            log_probs: (batch, frames, vocab) log posteriors, natural log.
            lens: (batch,) valid frames.
        Returns:
            for each utterance its one hypothesis; `score` is the log probability of the best path, a
            token's time is the frame of its run where it is most probable.
        """
        best, tokens = log_probs.max(dim=-1)
        rows = zip(tokens.tolist(), best.tolist(), lens.tolist())
        return [[self._collapse(t[:length], p[:length])] for t, p, length in rows]

    def _collapse(self, tokens: list[int], log_probs: list[float]) -> Hypothesis:
        kept: list[int] = []
        times: list[int] = []
        previous = self.blank_id
        for frame, token in enumerate(tokens):
            if token != self.blank_id:
                if token != previous:
                    kept.append(token)
                    times.append(frame)
                elif log_probs[frame] > log_probs[times[-1]]:
                    times[-1] = frame
            previous = token
        return Hypothesis(tuple(kept), sum(log_probs), tuple(times))
