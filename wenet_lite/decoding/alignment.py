"""CTC forced alignment: the frames in which each token of a known sequence is heard."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from wenet_lite.decoding.compilation import HAS_NUMBA
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.model.asr_model import required_encoder_frames


@dataclass(frozen=True)
class TokenSpan:
    """Where a token is heard.

    Attributes:
        token: unit id.
        start, end: first encoder frame of its run, and the frame after the last.
        log_probs: log posterior of the token in each of these frames, natural log.
    """

    token: int
    start: int
    end: int
    log_probs: tuple[float, ...]

    def later(self, frames: int) -> TokenSpan:
        """The same in a recording that begins `frames` encoder frames before."""
        return replace(self, start=self.start + frames, end=self.end + frames)


@dataclass(frozen=True)
class Alignment:
    """The most probable CTC path of a token sequence.

    Attributes:
        spans: one a token, in order; frames between them are blank.
        frame_log_probs: log posterior of the path in each frame of the utterance.
    """

    spans: tuple[TokenSpan, ...]
    frame_log_probs: tuple[float, ...]

    @property
    def score(self) -> float:
        """Log probability of the path."""
        return sum(self.frame_log_probs)


@dataclass(frozen=True)
class Unalignable:
    """Attributes:
    reason: why there is no alignment, in words.
    """

    reason: str


def with_spans(hyp: Hypothesis, alignment: Alignment | Unalignable) -> Hypothesis:
    """The hypothesis with where the audio has its tokens; None for each where it cannot be aligned."""
    spans = alignment.spans if isinstance(alignment, Alignment) else (None,) * len(hyp.tokens)
    return replace(hyp, spans=spans)


class CtcAligner:
    """Viterbi search over the CTC topology of known tokens (Graves et al., 2006, section 4.1, with max for sum).

    Args:
        blank_id: index of the CTC blank.
        compiled: whether posteriors on the host are searched compiled, an utterance after the other; else, and on
            other devices, all utterances of a batch and all states advance together in tensors, one frame a step.
    """

    def __init__(self, blank_id: int, *, compiled: bool = HAS_NUMBA) -> None:
        self.blank_id, self.compiled = blank_id, compiled

    @torch.no_grad()
    def __call__(
        self, log_probs: Tensor, lens: Tensor, tokens: Sequence[Sequence[int]]
    ) -> list[Alignment | Unalignable]:
        """Align.

        Args:
            log_probs: (batch, frames, vocab) log posteriors, natural log.
            lens: (batch,) valid frames.
            tokens: unit ids of each utterance, without blanks; may be empty.
        Returns:
            for each utterance its best path, or why there is none; where paths are equally probable, it stays in a
            state rather than enters the next.
        """
        results: list[Alignment | Unalignable] = []
        if not len(lens):
            return results
        search = self._compiled_paths if self.compiled and log_probs.device.type == "cpu" else self._paths
        needed = [required_encoder_frames(list(ids)) for ids in tokens]
        paths = search(log_probs, lens, tokens)
        for ids, length, least, (path, score, along) in zip(tokens, lens.tolist(), needed, paths):
            if length < least:
                results.append(Unalignable(f"needs {least} encoder frames for its {len(ids)} units, has {length}"))
            elif score == -math.inf:
                results.append(Unalignable("has units of probability 0 on every path"))
            else:
                results.append(_alignment(path, along, ids))
        return results

    def _compiled_paths(
        self, log_probs: Tensor, lens: Tensor, tokens: Sequence[Sequence[int]]
    ) -> Iterator[tuple[np.ndarray, float, list[float]]]:
        """As `_paths`."""
        from wenet_lite.decoding.alignment_kernel import best_path

        for row, length, ids in zip(log_probs.float().contiguous().numpy(), lens.tolist(), tokens):
            labels = np.full(2 * len(ids) + 1, self.blank_id, np.int64)
            labels[1::2] = ids
            path, score = best_path(row[:length], labels)
            yield path, score, row[np.arange(length), labels[path]].tolist()

    def _paths(
        self, log_probs: Tensor, lens: Tensor, tokens: Sequence[Sequence[int]]
    ) -> Iterator[tuple[np.ndarray, float, list[float]]]:
        """Of each utterance the (frames,) states of its best path, its score, which is -inf where no path is possible,
        and the log posteriors along it."""
        labels = self._labels(tokens)
        emissions = self._emissions(log_probs, labels)
        scores, moves = self._search(emissions, lens, labels)
        host_moves, host_emissions = moves.cpu().numpy(), emissions.cpu().numpy()
        for i, (ids, length, row) in enumerate(zip(tokens, lens.tolist(), scores.cpu().numpy())):
            last = max(range(max(2 * len(ids) - 1, 0), 2 * len(ids) + 1), key=row.__getitem__)
            path = _trace_back(host_moves[:length, i], last)
            yield path, float(row[last]), host_emissions[np.arange(length), i, path].tolist()

    def _labels(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """(batch, states) label of each state: blank, token, blank, ..., token, blank."""
        padded = pad_sequence(
            [torch.tensor(ids, dtype=torch.long) for ids in tokens], batch_first=True, padding_value=self.blank_id
        )
        labels = torch.full((len(padded), 2 * padded.shape[1] + 1), self.blank_id)
        labels[:, 1::2] = padded
        return labels

    def _emissions(self, log_probs: Tensor, labels: Tensor) -> Tensor:
        """(frames, batch, states) log posterior of each state's label."""
        index = labels.to(log_probs.device).unsqueeze(1).expand(-1, log_probs.shape[1], -1)
        return log_probs.float().gather(2, index).transpose(0, 1).contiguous()

    def _search(self, emissions: Tensor, lens: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Best score of each state in each utterance's last frame, (batch, states), and the states that each best
        path moved by on entering a frame, (frames, batch, states): 0, 1 or 2."""
        frames, batch, states = emissions.shape
        device = emissions.device
        # A blank may be left out between two tokens that differ; padding has no way in but from its left.
        barrier = torch.full((batch, states), -torch.inf)
        barrier[:, 3::2].masked_fill_(labels[:, 3::2] != labels[:, 1:-2:2], 0.0)
        barrier = barrier.to(device)
        # Two columns that are never reached stand left of the states, so that a move is a shifted view.
        scores = torch.full((batch, states + 2), -torch.inf, device=device)
        scores[:, 2] = 0.0  # before the first frame: moves by 0 and 1 reach the two states that may begin
        moves = torch.zeros(frames, batch, states, dtype=torch.uint8, device=device)
        going = torch.arange(frames, device=device).unsqueeze(1) < lens.to(device)
        for frame in range(frames):
            candidates = torch.stack([scores[:, 2:], scores[:, 1:-1], scores[:, :-2] + barrier])
            best, moves[frame] = candidates.max(dim=0)
            scores[:, 2:] = torch.where(going[frame].unsqueeze(1), best + emissions[frame], scores[:, 2:])
        return scores[:, 2:], moves


def _trace_back(moves: np.ndarray, last: int) -> np.ndarray:
    """(frames,) state in each frame of the path that ends in state `last`; moves: (frames, states)."""
    path = np.empty(len(moves), dtype=np.int64)
    state = last
    for frame in range(len(moves) - 1, -1, -1):
        path[frame] = state
        state -= int(moves[frame, state])
    return path


def _alignment(path: np.ndarray, log_probs: list[float], tokens: Sequence[int]) -> Alignment:
    starts = np.searchsorted(path, np.arange(1, 2 * len(tokens), 2)).tolist()
    ends = np.searchsorted(path, np.arange(1, 2 * len(tokens), 2), side="right").tolist()
    spans = [
        TokenSpan(token, start, end, tuple(log_probs[start:end])) for token, start, end in zip(tokens, starts, ends)
    ]
    return Alignment(tuple(spans), tuple(log_probs))
