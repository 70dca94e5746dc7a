"""Beam search with the attention decoder alone."""

from __future__ import annotations

import torch
from torch import Tensor

from wenet_lite.decoding.options import Hypothesis
from wenet_lite.model.asr_model import AsrModel


class AttentionBeamSearch:
    """Label-synchronous beam search over a batch.

    Utterances and beams advance together, one token a step. A hypothesis has at most as many tokens as
    its utterance has encoder frames.

    Args:
        model: its left-to-right decoder is searched.
        beam_size: hypotheses kept for each utterance.
        length_penalty: scores are divided by length ** length_penalty.
    """

    def __init__(self, model: AsrModel, beam_size: int, length_penalty: float) -> None:
        self.model = model
        self.beam_size = min(beam_size, model.vocab_size)
        self.length_penalty = length_penalty

    def __call__(self, encoder_out: Tensor, lens: Tensor) -> list[list[Hypothesis]]:
        """Search.

        Args:
            encoder_out: (batch, frames, dim).
            lens: (batch,) valid frames, at least 1 each.
        Returns:
            for each utterance its hypotheses, best first; `score` is log p(tokens, end | x), with the
            length penalty (the start symbol counts as one token).
        """
        batch, beam, device = len(lens), self.beam_size, encoder_out.device
        cache = self.model.left_decoder.start(encoder_out, lens, beam)
        tokens = torch.full((batch, beam, 1), self.model.sos_id, dtype=torch.long, device=device)
        scores = torch.full((batch, beam), -torch.inf, device=device)
        scores[:, 0] = 0.0
        complete = torch.zeros(batch, beam, dtype=torch.bool, device=device)
        frozen = complete
        for step in range(int(lens.max())):
            logits, cache = self.model.left_decoder.step(tokens[:, :, -1], cache)
            best, candidates = self._continuations(logits, frozen)
            scores, choice = (scores.unsqueeze(2) + best).flatten(1).topk(beam, dim=1)
            parents = choice // beam
            chosen = candidates.flatten(1).gather(1, choice)
            cache = cache.select((parents + torch.arange(batch, device=device).unsqueeze(1) * beam).flatten())
            history = tokens.gather(1, parents.unsqueeze(2).expand(-1, -1, tokens.shape[2]))
            tokens = torch.cat([history, chosen.unsqueeze(2)], dim=2)
            ends = (chosen == self.model.eos_id) | (step + 1 >= lens).unsqueeze(1)
            complete = complete.gather(1, parents) | (ends & ~frozen.gather(1, parents))
            frozen = complete | self._decided(complete).unsqueeze(1)
            if frozen.all():
                break
        return self._results(tokens, scores, complete)

    def _continuations(self, logits: Tensor, frozen: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, beam, beam) log probabilities and ids of the best next tokens; frozen: the end alone."""
        best, candidates = logits.float().log_softmax(dim=-1).topk(self.beam_size, dim=-1)
        nothing = torch.full_like(best, -torch.inf)
        nothing[:, :, 0] = 0.0
        over = frozen.unsqueeze(2)
        return torch.where(over, nothing, best), candidates.masked_fill(over, self.model.eos_id)

    def _decided(self, complete: Tensor) -> Tensor:
        """(batch,) whether nothing can overtake the best: scores only fall, unless length is rewarded."""
        return complete[:, 0] if self.length_penalty == 0 else complete.all(dim=1)

    def _results(self, tokens: Tensor, scores: Tensor, complete: Tensor) -> list[list[Hypothesis]]:
        lengths = (tokens[:, :, 1:] != self.model.eos_id).sum(dim=2) + 1
        scores = scores / lengths.float() ** self.length_penalty
        results = []
        for rows, values, whole in zip(tokens[:, :, 1:].tolist(), scores.tolist(), complete.tolist()):
            hyps = [
                Hypothesis(tuple(t for t in row if t != self.model.eos_id), value)
                for row, value, is_whole in zip(rows, values, whole)
                if is_whole and value > -torch.inf
            ]
            results.append(sorted(hyps, key=lambda hyp: hyp.score, reverse=True))
        return results
