"""Beam search with the attention decoder and CTC together, in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from wenet_lite.decoding.ctc_prefix_scorer import CtcPrefixScorer
from wenet_lite.decoding.fusion import NO_FUSION, Fusion
from wenet_lite.decoding.fusion_tensors import fusion_tensors
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.errors import ConfigError
from wenet_lite.model.asr_model import AsrModel

CANDIDATES = 2
"""CTC scores the best next tokens of decoder and fusion alone: this many times the beam size of each hypothesis."""


@dataclass(frozen=True)
class _Ended:
    """Hypotheses of each utterance of a batch that have ended, best first.

    Attributes:
        tokens: (batch, beam, length), the start symbol first, padded by the end symbol.
        scores: (batch, beam) with length penalty; -inf where there is none.
        extra: (batch, beam) what of it fusion has added.
    """

    tokens: Tensor
    scores: Tensor
    extra: Tensor


class JointBeamSearch:
    """Label-synchronous beam search by attention and CTC prefix scores (Watanabe et al., 2017; Hori et al., 2017).

    A hypothesis that ends leaves the beam. Neither probability grows with a hypothesis, so that an utterance is
    through as soon as no hypothesis in its beam can overtake the best that has ended, at any length that is left:
    CTC allows as many tokens as there are encoder frames. What fusion may still add has no bound that would end a
    search early: hotwords could follow one another to the last frame. With fusion those that have ended count as places
    of the beam, so that an utterance is through as soon as they are as many as the beam is wide and none that goes on
    is better than the last of them.

    Args:
        model: its left-to-right decoder is searched.
        beam_size: hypotheses kept for each utterance, of those that go on and of those that have ended.
        ctc_weight: share of the CTC score: (1 - ctc_weight) * attention + ctc_weight * CTC.
        length_penalty: scores are divided by length ** length_penalty, what fusion has added included.
        fusion: hotwords and language model.
    Raises:
        ConfigError: if `ctc_weight` does not lie between 0 and 1.
    """

    def __init__(
        self, model: AsrModel, beam_size: int, ctc_weight: float, length_penalty: float, fusion: Fusion = NO_FUSION
    ) -> None:
        if not 0 < ctc_weight < 1:
            raise ConfigError(
                f"ctc_weight of the joint search is {ctc_weight}, not between 0 and 1",
                cure="for one of the two alone take ctc_prefix_beam_search or attention",
            )
        self.model, self.beam_size, self.fusion = model, beam_size, fusion
        self.ctc_weight, self.length_penalty = ctc_weight, length_penalty
        self.candidates = min(CANDIDATES * beam_size, model.vocab_size - 2)

    def __call__(self, encoder_out: Tensor, lens: Tensor, log_probs: Tensor) -> list[list[Hypothesis]]:
        """Search.

        Args:
            encoder_out: (batch, frames, dim).
            lens: (batch,) valid frames, at least 1 each.
            log_probs: (batch, frames, vocab) CTC log posteriors.
        Returns:
            for each utterance its hypotheses, best first; `score` is the weighted sum of log p(tokens, end | x) by
            the decoder and log p(tokens | x) by CTC, with what fusion has added, and with the length penalty (the start
            symbol counts as one token).
        """
        model, (batch, device) = self.model, (len(lens), lens.device)
        cache = model.left_decoder.start(encoder_out, lens, self.beam_size)
        scorer = CtcPrefixScorer(log_probs, lens, model.blank_id)
        prefixes = scorer.start(self.beam_size)
        fusion = fusion_tensors(self.fusion, device)
        states = fusion.start(batch, self.beam_size)
        tokens = torch.full((batch, self.beam_size, 1), model.sos_id, device=device)
        attention = torch.full((batch, self.beam_size), -torch.inf, device=device)
        ended = _Ended(tokens, attention, attention)
        attention = attention.index_fill(1, torch.zeros(1, dtype=torch.long, device=device), 0.0)
        searching = torch.ones(batch, dtype=torch.bool, device=device)
        while True:
            following = model.left_decoder.step(tokens[:, :, -1], cache).float().log_softmax(dim=2)
            extra = fusion.whole(states)
            endings = self._joint(attention + following[:, :, model.eos_id], scorer.whole(prefixes)) + extra
            endings = endings.masked_fill(~searching.unsqueeze(1), -torch.inf)
            ended = self._with_endings(ended, tokens, endings, extra)
            following[:, :, [model.blank_id, model.eos_id]] = -torch.inf
            candidates = fusion.favoured(following, states, model.eos_id).topk(self.candidates, dim=2).indices
            grown = attention.unsqueeze(2) + following.gather(2, candidates)
            joint = self._joint(grown, scorer.extended(prefixes, candidates)) + fusion.extended(states, candidates)
            scores, choice = joint.flatten(1).topk(self.beam_size, dim=1)
            rival = ended.scores[:, -1 if fusion.active else 0]
            searching = searching & self._undecided(scores[:, 0], rival, tokens.shape[2] + 1, lens)
            if not searching.any():
                return self._results(ended)
            parents = choice // self.candidates
            chosen = candidates.flatten(1).gather(1, choice)
            attention = grown.flatten(1).gather(1, choice)
            prefixes = scorer.extend(prefixes.select(parents), chosen)
            states = fusion.extend(states, parents, chosen)
            cache.select(parents)
            history = tokens.gather(1, parents.unsqueeze(2).expand_as(tokens))
            tokens = torch.cat([history, chosen.unsqueeze(2)], dim=2)

    def _joint(self, attention: Tensor, ctc: Tensor) -> Tensor:
        return (1 - self.ctc_weight) * attention + self.ctc_weight * ctc.float()

    def _with_endings(self, ended: _Ended, tokens: Tensor, scores: Tensor, extra: Tensor) -> _Ended:
        """The best of those that had ended and those that end now, whose scores are without length penalty."""
        divisor = tokens.shape[2] ** self.length_penalty
        scores = torch.cat([ended.scores, scores / divisor], dim=1)
        extra = torch.cat([ended.extra, extra / divisor], dim=1)
        padding = tokens.shape[2] - ended.tokens.shape[2]
        hypotheses = torch.cat([pad(ended.tokens, (0, padding), value=self.model.eos_id), tokens], dim=1)
        best, choice = scores.topk(self.beam_size, dim=1)
        index = choice.unsqueeze(2).expand(-1, -1, tokens.shape[2])
        return _Ended(hypotheses.gather(1, index), best, extra.gather(1, choice))

    def _undecided(self, best: Tensor, rival: Tensor, length: int, lens: Tensor) -> Tensor:
        """(batch,) whether hypotheses of this length and score can, if scores fall, overtake one that has ended."""
        bounds = best / length**self.length_penalty, best / (lens + 1) ** self.length_penalty
        return torch.maximum(*bounds) > rival

    def _results(self, ended: _Ended) -> list[list[Hypothesis]]:
        return [
            [
                Hypothesis(tuple(token for token in row if token != self.model.eos_id), score, extra=added)
                for row, score, added in zip(rows, scores, extra)
                if score > -torch.inf
            ]
            for rows, scores, extra in zip(ended.tokens[:, :, 1:].tolist(), ended.scores.tolist(), ended.extra.tolist())
        ]
