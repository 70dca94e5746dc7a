"""Beam search with the attention decoder alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wenet_lite.decoding.fusion import NO_FUSION, Fusion
from wenet_lite.decoding.fusion_tensors import FusionStates, FusionTensors, fusion_tensors
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.model.asr_model import AsrModel


@dataclass(frozen=True)
class _Beams:
    """Hypotheses of utterances that are searched together.

    Attributes:
        tokens: (batch, beam, length), the start symbol first.
        scores: (batch, beam) log p(tokens | x) with what fusion has added, best first.
        states: of the fusion; of a hypothesis that has ended, before its end.
        complete: (batch, beam), true where a hypothesis has ended.
        frozen: (batch, beam), true where it does not grow any more.
        lens: (batch,) encoder frames.
    """

    tokens: Tensor
    scores: Tensor
    states: FusionStates
    complete: Tensor
    frozen: Tensor
    lens: Tensor

    def of(self, utterances: Tensor) -> _Beams:
        """The hypotheses of some utterances, by their indices."""
        complete, frozen, lens = (field[utterances] for field in (self.complete, self.frozen, self.lens))
        states = self.states.of(utterances)
        return _Beams(self.tokens[utterances], self.scores[utterances], states, complete, frozen, lens)


class AttentionBeamSearch:
    """Label-synchronous beam search over a batch.

    Utterances and beams advance together, one token a step; whenever half of the utterances are through, the others
    go on alone. A hypothesis has at most as many tokens as its utterance has encoder frames.

    What fusion adds to each token counts when the best next tokens of a hypothesis are chosen from the vocabulary, so
    that a hotword may win which the decoder alone would leave out. It may add to a score at any time: an utterance is
    then through when all hypotheses of its beam have ended, else as soon as the best one has.

    Args:
        model: its left-to-right decoder is searched.
        beam_size: hypotheses kept for each utterance.
        length_penalty: scores are divided by length ** length_penalty, what fusion has added included: so the best of
            one length in the search are the best of that length in the end. The length is that of the text, without
            start and end symbol (WeNet's); a positive penalty leaves the empty text out where there is another.
        fusion: hotwords and language model.
    """

    def __init__(self, model: AsrModel, beam_size: int, length_penalty: float, fusion: Fusion = NO_FUSION) -> None:
        self.model, self.fusion = model, fusion
        self.beam_size = min(beam_size, model.vocab_size)
        self.length_penalty = length_penalty

    def __call__(self, encoder_out: Tensor, lens: Tensor) -> list[list[Hypothesis]]:
        """Search.

        Args:
            encoder_out: (batch, frames, dim).
            lens: (batch,) valid frames, at least 1 each.
        Returns:
            for each utterance its hypotheses, best first; `score` is log p(tokens, end | x) with what fusion has added,
            and with the length penalty.
        """
        cache = self.model.left_decoder.start(encoder_out, lens, self.beam_size)
        fusion = fusion_tensors(self.fusion, lens.device)
        beams = self._first_beams(lens, fusion)
        waiting = torch.arange(len(lens), device=lens.device)
        results: list[list[Hypothesis]] = [[] for _ in lens]
        while len(waiting):
            logits = self.model.left_decoder.step(beams.tokens[:, :, -1], cache)
            beams, parents = self._advance(beams, logits, fusion)
            cache.select(parents)
            ready = beams.frozen.all(dim=1)
            # What is kept is copied: that pays where it is no more than half.
            if 2 * int(ready.sum()) >= len(waiting):
                done, rest = ready.nonzero().squeeze(1), (~ready).nonzero().squeeze(1)
                for index, hyps in zip(waiting[done].tolist(), self._results(beams.of(done), fusion)):
                    results[index] = hyps
                beams, waiting = beams.of(rest), waiting[rest]
                cache.keep(rest)
        return results

    def _first_beams(self, lens: Tensor, fusion: FusionTensors) -> _Beams:
        shape = len(lens), self.beam_size
        states = fusion.start(*shape)
        scores = torch.full(shape, -torch.inf, device=lens.device)
        scores[:, 0] = states.extra[:, 0]
        complete = torch.zeros(shape, dtype=torch.bool, device=lens.device)
        start = torch.full((*shape, 1), self.model.sos_id, device=lens.device)
        return _Beams(start, scores, states, complete, complete, lens)

    def _advance(self, beams: _Beams, logits: Tensor, fusion: FusionTensors) -> tuple[_Beams, Tensor]:
        """The beams with one more token, and (batch, beam) which hypothesis each goes on from."""
        following = fusion.favoured(logits.float().log_softmax(dim=-1), beams.states, self.model.eos_id)
        best, candidates = self._continuations(following, beams.frozen)
        scores, choice = (beams.scores.unsqueeze(2) + best).flatten(1).topk(self.beam_size, dim=1)
        parents = choice // self.beam_size
        chosen = candidates.flatten(1).gather(1, choice)
        history = beams.tokens.gather(1, parents.unsqueeze(2).expand_as(beams.tokens))
        ended = chosen == self.model.eos_id
        states = fusion.extend(beams.states, parents, chosen, ended)
        ends = ended | (beams.tokens.shape[2] >= beams.lens).unsqueeze(1)
        complete = beams.complete.gather(1, parents) | (ends & ~beams.frozen.gather(1, parents))
        frozen = complete | self._decided(complete).unsqueeze(1)
        tokens = torch.cat([history, chosen.unsqueeze(2)], dim=2)
        return _Beams(tokens, scores, states, complete, frozen, beams.lens), parents

    def _continuations(self, following: Tensor, frozen: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, beam, beam) scores and ids of the best next tokens; frozen: the end alone."""
        best, candidates = following.topk(self.beam_size, dim=-1)
        nothing = torch.full_like(best, -torch.inf)
        nothing[:, :, 0] = 0.0
        over = frozen.unsqueeze(2)
        return torch.where(over, nothing, best), candidates.masked_fill(over, self.model.eos_id)

    def _decided(self, complete: Tensor) -> Tensor:
        """(batch,) whether nothing can overtake the best: scores only fall, but for length and fusion."""
        only_fall = self.length_penalty == 0 and not self.fusion.tables.active
        return complete[:, 0] if only_fall else complete.all(dim=1)

    def _results(self, beams: _Beams, fusion: FusionTensors) -> list[list[Hypothesis]]:
        tokens = beams.tokens[:, :, 1:]
        lengths = (tokens != self.model.eos_id).sum(dim=2)
        divisors = lengths.clamp(min=1).float() ** self.length_penalty
        extra = fusion.whole(beams.states)
        # What was cut off at the most tokens has not met the end symbol.
        due = (extra - beams.states.extra).float().masked_fill(lengths < beams.lens.unsqueeze(1), 0.0)
        columns = tokens, (beams.scores + due) / divisors, extra / divisors, beams.complete
        results = []
        for of_utterance in zip(*(column.tolist() for column in columns)):
            hyps = [
                Hypothesis(tuple(t for t in row if t != self.model.eos_id), score, extra=added)
                for row, score, added, is_whole in zip(*of_utterance)
                if is_whole and score > -torch.inf
            ]
            if self.length_penalty > 0:
                hyps = [hyp for hyp in hyps if hyp.tokens] or hyps
            results.append(sorted(hyps, key=lambda hyp: hyp.score, reverse=True))
        return results
