"""CTC prefix beam search as operations on tensors: all streams and prefixes of a batch advance together.

The same search as in `prefix_beam_kernel`, for GPUs, and for CPUs without numba.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wenet_lite.decoding.fusion import PRIME, Fusion
from wenet_lite.decoding.fusion_tensors import FusionStates, fusion_tensors
from wenet_lite.decoding.options import Hypothesis

_NEVER = -math.inf


@dataclass(frozen=True)
class _Prefixes(FusionStates):
    """Prefixes of the beams, (batch, prefixes) each, best first; the attributes are those of `PREFIX`.

    Places without a prefix have a `total` of minus infinity. A link is frame * beam_size + place in that frame's beam;
    `times_before` and `tokens_before` are the links before `times_token` and, in the frame of `tokens`, before that.
    """

    blank: Tensor
    token: Tensor
    total: Tensor
    best_blank: Tensor
    best_token: Tensor
    times_blank: Tensor
    times_token: Tensor
    times_before: Tensor
    tokens: Tensor
    tokens_before: Tensor
    last: Tensor
    digest: Tensor
    parent_digest: Tensor

    @classmethod
    def empty(cls, states: FusionStates) -> _Prefixes:
        """The empty prefix, and places for more."""
        zero = torch.zeros_like(states.word)
        none, never = zero - 1, torch.full_like(states.extra, _NEVER)
        first = never.clone()
        first[:, 0] = 0.0
        return cls(
            **vars(states), blank=first, token=never, total=first, best_blank=first, best_token=first,
            times_blank=none, times_token=none, times_before=none, tokens=none, tokens_before=none, last=none,
            digest=zero, parent_digest=none,
        )  # fmt: skip


class TensorBeams:
    """The searches of a batch of streams.

    Args:
        batch: streams.
        beam_size: prefixes kept for each.
        blank_id: index of the CTC blank.
        fusion: hotwords and language model of all of them.
        device: of the tensors.
    """

    def __init__(self, batch: int, beam_size: int, blank_id: int, fusion: Fusion, device: torch.device) -> None:
        self._beam_size, self._blank_id = beam_size, blank_id
        self._fusion = fusion_tensors(fusion, device)
        self._beam = _Prefixes.empty(self._fusion.start(batch, beam_size))
        self._links: list[tuple[Tensor, Tensor, Tensor]] = []

    def advance(self, values: Tensor, tokens: Tensor, lens: Tensor) -> None:
        """Take the frames of `Tried`."""
        for t in range(values.shape[1]):
            after = self._step(values[:, t], tokens[:, t])
            self._beam = after.where((t < lens).unsqueeze(1), self._beam)
            self._links.append((after.times_before, after.tokens_before, after.last))

    def hypotheses(self, most: int | None = None) -> list[list[Hypothesis]]:
        """As `CtcPrefixBeam.hypotheses`, of each stream; the first `most`, or all."""
        beam, extra = self._beam, self._fusion.whole(self._beam)
        scores, order = (of[:, :most] for of in (beam.total + extra).sort(dim=1, descending=True, stable=True))
        times = torch.where(beam.best_blank > beam.best_token, beam.times_blank, beam.times_token)
        columns = (scores, *(tensor.gather(1, order) for tensor in (extra, beam.tokens, times)))
        nothing = [beam.last[:, :0]] * 3
        links = [torch.cat(of_frames, dim=1).tolist() for of_frames in zip(nothing, *self._links)]
        results: list[list[Hypothesis]] = []
        for row in zip(*(column.tolist() for column in columns)):
            times_before, tokens_before, last = (of_streams[len(results)] for of_streams in links)
            hyps = []
            for score, added, token_link, time_link in zip(*row):
                if score > _NEVER:
                    tokens = tuple(last[link] for link in _chain(tokens_before, token_link))
                    frames = tuple(link // self._beam_size for link in _chain(times_before, time_link))
                    hyps.append(Hypothesis(tokens, score, frames, added))
            results.append(hyps)
        return results

    def _step(self, values: Tensor, tokens: Tensor) -> _Prefixes:
        """The beam after a frame in which (batch, tried) tokens are tried."""
        beam, size = self._beam, self._beam_size
        repeats = tokens.unsqueeze(1) == beam.last.unsqueeze(2)
        there = beam.total > _NEVER
        is_parent = (beam.digest.unsqueeze(1) == beam.parent_digest.unsqueeze(2)) & there.unsqueeze(1)
        is_parent &= (there & (beam.last >= 0)).unsqueeze(2)  # of (batch, prefix, parent)
        stays = self._stay(values, tokens, repeats, is_parent)
        in_beam = is_parent.transpose(1, 2).float() @ repeats.float() > 0
        acoustic = torch.where(repeats, beam.blank.unsqueeze(2), beam.total.unsqueeze(2)) + values.unsqueeze(1)
        acoustic = acoustic.masked_fill(in_beam | (tokens == self._blank_id).unsqueeze(1), _NEVER)
        extra = self._fusion.extended(beam, tokens.unsqueeze(1).expand(-1, size, -1))
        scores = torch.cat([stays.total + stays.extra, (acoustic + extra).flatten(1)], dim=1)
        _, chosen = scores.topk(size, dim=1)
        place = (chosen - size).clamp(min=0)
        parents, tried = place // tokens.shape[1], place % tokens.shape[1]
        acoustic = acoustic.flatten(1).gather(1, place)
        extended = self._extend(parents, tokens.gather(1, tried), values.gather(1, tried), acoustic)
        after = extended.where(chosen >= size, stays.at(chosen.clamp(max=size - 1)))
        links = len(self._links) * size + torch.arange(size, device=tokens.device)
        return replace(
            after,
            times_token=torch.where(after.best_token > _NEVER, links, after.times_token),
            tokens=torch.where(chosen >= size, links, after.tokens),
        )

    def _stay(self, values: Tensor, tokens: Tensor, repeats: Tensor, is_parent: Tensor) -> _Prefixes:
        """All prefixes after a frame that does not extend them, but may extend their parents to them."""
        beam = self._beam
        blank = values.masked_fill(tokens != self._blank_id, _NEVER).amax(dim=1, keepdim=True)
        repeat = values.unsqueeze(1).masked_fill(~repeats, _NEVER).amax(dim=2)
        place = is_parent.int().argmax(dim=2)
        parent = beam.at(place)
        comes = torch.where(is_parent.any(dim=2), repeat, _NEVER)
        from_blank = parent.last == beam.last  # without a blank between them they were one token
        came = torch.where(from_blank, parent.blank, parent.total) + comes
        from_blank = from_blank | (parent.best_blank > parent.best_token)
        came_best = torch.where(from_blank, parent.best_blank, parent.best_token) + comes
        came_times = torch.where(from_blank, parent.times_blank, parent.times_token)
        stayed_best = beam.best_token + repeat
        # As in WeNet: where the parent stands higher, the frame is its extension's even if to stay is more probable.
        higher = place < torch.arange(self._beam_size, device=place.device)
        by_parent = (came_best > _NEVER) & (higher | (came_best > stayed_best))
        new_blank, new_token = beam.total + blank, torch.logaddexp(beam.token + repeat, came)
        return replace(
            beam,
            blank=new_blank,
            token=new_token,
            total=torch.logaddexp(new_blank, new_token),
            best_blank=torch.maximum(beam.best_blank, beam.best_token) + blank,
            best_token=torch.maximum(came_best, stayed_best),
            times_blank=torch.where(beam.best_blank > beam.best_token, beam.times_blank, beam.times_token),
            times_before=torch.where(by_parent, came_times, beam.times_before),
        )

    def _extend(self, parents: Tensor, tokens: Tensor, values: Tensor, acoustic: Tensor) -> _Prefixes:
        """Prefixes extended by tokens."""
        old = self._beam.at(parents)
        never = torch.full_like(acoustic, _NEVER)
        from_blank = (old.last == tokens) | (old.best_blank > old.best_token)
        new = replace(
            old,
            blank=never,
            token=acoustic,
            total=acoustic,
            best_blank=never,
            best_token=torch.where(from_blank, old.best_blank, old.best_token) + values,
            times_before=torch.where(from_blank, old.times_blank, old.times_token),
            tokens_before=old.tokens,
            last=tokens,
            digest=old.digest * PRIME + tokens + 1,
            parent_digest=old.digest,
        )
        if not self._fusion.active:
            return new
        return replace(new, **vars(self._fusion.extend(self._beam, parents, tokens)))


def _chain(before: Sequence[int], link: int) -> list[int]:
    """The links up to one, first to last."""
    found = []
    while link >= 0:
        found.append(link)
        link = before[link]
    return found[::-1]
