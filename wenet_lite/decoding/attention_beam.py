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
        model: its decoder is searched.
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
        memory = encoder_out.repeat_interleave(beam, dim=0)
        memory_lens = lens.repeat_interleave(beam)
        tokens = torch.full((batch * beam, 1), self.model.sos_id, dtype=torch.long, device=device)
        scores = torch.full((batch, beam), -torch.inf, device=device)
        scores[:, 0] = 0.0
        ended = torch.zeros(batch, beam, dtype=torch.bool, device=device)
        first_beam = (torch.arange(batch, device=device) * beam).unsqueeze(1)
        for step in range(int(lens.max())):
            best, candidates = self._next_tokens(memory, memory_lens, tokens, ended)
            totals = (scores.unsqueeze(2) + best.view(batch, beam, beam)).flatten(1)
            scores, choice = totals.topk(beam, dim=1)
            parents = (first_beam + choice // beam).flatten()
            chosen = candidates.view(batch, beam * beam).gather(1, choice).flatten()
            tokens = torch.cat([tokens[parents], chosen.unsqueeze(1)], dim=1)
            ended = (chosen == self.model.eos_id).view(batch, beam) | (step + 1 >= lens).unsqueeze(1)
            if ended.all():
                break
        return self._results(tokens.view(batch, beam, -1), scores)

    def _next_tokens(self, memory: Tensor, memory_lens: Tensor, tokens: Tensor, ended: Tensor) -> tuple[Tensor, Tensor]:
        """(hypotheses, beam) log probabilities and ids of the best continuations; an ended one has only the end."""
        token_lens = torch.full((len(tokens),), tokens.shape[1], device=tokens.device)
        logits = self.model.decoder(memory, memory_lens, tokens, token_lens)[:, -1]
        best, candidates = logits.float().log_softmax(dim=-1).topk(self.beam_size, dim=-1)
        over = ended.view(-1, 1)
        nothing = torch.full_like(best, -torch.inf)
        nothing[:, 0] = 0.0
        return torch.where(over, nothing, best), candidates.masked_fill(over, self.model.eos_id)

    def _results(self, tokens: Tensor, scores: Tensor) -> list[list[Hypothesis]]:
        lengths = (tokens[:, :, 1:] != self.model.eos_id).sum(dim=2) + 1
        scores = scores / lengths.float() ** self.length_penalty
        results = []
        for rows, values in zip(tokens[:, :, 1:].tolist(), scores.tolist()):
            hyps = [
                Hypothesis(tuple(t for t in row if t != self.model.eos_id), value)
                for row, value in zip(rows, values)
                if value > -torch.inf
            ]
            results.append(sorted(hyps, key=lambda hyp: hyp.score, reverse=True))
        return results
