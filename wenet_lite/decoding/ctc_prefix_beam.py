"""CTC prefix beam search (Hannun et al., 2014, algorithm 1), whole utterances and streams."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from wenet_lite.decoding.options import Hypothesis

_NEVER = -math.inf


@dataclass(slots=True)
class _Prefix:
    """Log probabilities of a prefix, by whether its last frame is a blank; and its best single path.

    Attributes:
        blank, token: of all paths that end in a blank, or in the prefix's last token.
        best_blank, best_token: of the best such path.
        times_blank, times_token: frame of each token on that path.
    """

    blank: float = _NEVER
    token: float = _NEVER
    best_blank: float = _NEVER
    best_token: float = _NEVER
    times_blank: tuple[int, ...] = ()
    times_token: tuple[int, ...] = ()

    @property
    def total(self) -> float:
        return _log_add(self.blank, self.token)

    @property
    def best(self) -> float:
        return max(self.best_blank, self.best_token)

    @property
    def times(self) -> tuple[int, ...]:
        return self.times_blank if self.best_blank > self.best_token else self.times_token

    def add_blank(self, score: float, best: float, times: tuple[int, ...]) -> None:
        """Paths that go on with a blank."""
        self.blank = _log_add(self.blank, score)
        self.best_blank, self.times_blank = best, times

    def add_token(self, score: float, best: float, times: tuple[int, ...]) -> None:
        """Paths that end in a new token."""
        self.token = _log_add(self.token, score)
        if best > self.best_token:
            self.best_token, self.times_token = best, times

    def repeat_token(self, score: float, best: float, times: tuple[int, ...]) -> None:
        """Paths that stay in the last token; where a new token came first, its times stand (as in WeNet)."""
        self.token = _log_add(self.token, score)
        if best > self.best_token:
            self.best_token, self.times_token = best, self.times_token or times


class CtcPrefixBeam:
    """The search of one stream: feed it frames in any portions, ask it for its n-best at any time.

    Args:
        beam_size: prefixes kept, and tokens tried at each frame.
        blank_id: index of the CTC blank.
    """

    def __init__(self, beam_size: int, blank_id: int) -> None:
        self.beam_size = beam_size
        self.blank_id = blank_id
        self.num_frames = 0
        self._beam: list[tuple[tuple[int, ...], _Prefix]] = [((), _Prefix(blank=0.0, best_blank=0.0, best_token=0.0))]

    def advance(self, log_probs: Tensor) -> None:
        """Take (frames, vocab) log posteriors."""
        if not len(log_probs):
            return
        values, tokens = log_probs.topk(min(self.beam_size, log_probs.shape[1]), dim=1)
        for frame_values, frame_tokens in zip(values.tolist(), tokens.tolist()):
            self._step(frame_values, frame_tokens)
            self.num_frames += 1

    def hypotheses(self) -> list[Hypothesis]:
        """N-best so far, best first; `score` is log p(prefix | x)."""
        return [
            Hypothesis(tokens, prefix.total, prefix.times) for tokens, prefix in self._beam if prefix.total > _NEVER
        ]

    def _step(self, log_probs: list[float], tokens: list[int]) -> None:
        now = self.num_frames
        following: dict[tuple[int, ...], _Prefix] = {}
        for log_prob, token in zip(log_probs, tokens):
            for prefix, state in self._beam:
                if token == self.blank_id:
                    same = following.setdefault(prefix, _Prefix())
                    same.add_blank(state.total + log_prob, state.best + log_prob, state.times)
                elif prefix and token == prefix[-1]:
                    same = following.setdefault(prefix, _Prefix())
                    same.repeat_token(
                        state.token + log_prob, state.best_token + log_prob, (*state.times_token[:-1], now)
                    )
                    longer = following.setdefault((*prefix, token), _Prefix())
                    longer.add_token(state.blank + log_prob, state.best_blank + log_prob, (*state.times_blank, now))
                else:
                    longer = following.setdefault((*prefix, token), _Prefix())
                    longer.add_token(state.total + log_prob, state.best + log_prob, (*state.times, now))
        ranked = sorted(following.items(), key=lambda item: item[1].total, reverse=True)
        self._beam = ranked[: self.beam_size]


class CtcPrefixBeamSearch:
    """Prefix beam search over a batch of whole utterances.

    Args:
        beam_size: prefixes kept for each utterance.
        blank_id: index of the CTC blank.
    """

    def __init__(self, beam_size: int, blank_id: int) -> None:
        self.beam_size = beam_size
        self.blank_id = blank_id

    def __call__(self, log_probs: Tensor, lens: Tensor) -> list[list[Hypothesis]]:
        """Search.

        Args:
            log_probs: (batch, frames, vocab) log posteriors, natural log.
            lens: (batch,) valid frames.
        Returns:
            for each utterance its hypotheses, best first; `score` is log p(prefix | x).
        """
        results = []
        for row, length in zip(log_probs, lens.tolist()):
            beam = CtcPrefixBeam(self.beam_size, self.blank_id)
            beam.advance(row[:length])
            results.append(beam.hypotheses())
        return results


def _log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    if a < b:
        a, b = b, a
    return a if b == _NEVER else a + math.log1p(math.exp(b - a))
