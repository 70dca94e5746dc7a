"""Second pass: the attention decoder chooses among the CTC search's n-best."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from wenet_lite.decoding.options import Hypothesis
from wenet_lite.errors import ConfigError
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.decoder import TransformerDecoder, reversed_tokens


class AttentionRescoring:
    """Adds the attention decoder's score to the CTC score of each hypothesis (U2, section 3.3).

    Args:
        model: its decoders score.
        ctc_weight: weight of the CTC score.
        reverse_weight: share of the right-to-left decoder (U2++, section 3.3); as in training where not given.
    Raises:
        ConfigError: if `reverse_weight` is above 0 and the model has no such decoder.
    """

    def __init__(self, model: AsrModel, ctc_weight: float, reverse_weight: float | None = None) -> None:
        if reverse_weight is None:
            reverse_weight = model.config.reverse_weight
        if reverse_weight > 0 and model.right_decoder is None:
            raise ConfigError("reverse_weight needs a model with a right-to-left decoder", cure="set it to 0")
        self.model = model
        self.ctc_weight, self.reverse_weight = ctc_weight, reverse_weight

    def __call__(self, encoder_out: Tensor, lens: Tensor, nbest: list[list[Hypothesis]]) -> list[list[Hypothesis]]:
        """Rescore the n-best of all utterances of a batch in one pass of the decoder.

        Args:
            encoder_out: (batch, frames, dim).
            lens: (batch,) valid frames, at least 1 each.
            nbest: hypotheses of each utterance, scored by CTC.
        Returns:
            the same, best first, with `score` = log p(tokens, end | x) + ctc_weight * CTC score, where the first
            term is a mean of both directions by `reverse_weight`.
        """
        device = encoder_out.device
        owners = torch.tensor([i for i, hyps in enumerate(nbest) for _ in hyps], device=device)
        rows = [torch.tensor(hyp.tokens, dtype=torch.long) for hyps in nbest for hyp in hyps]
        targets = pad_sequence(rows, batch_first=True, padding_value=-1).to(device)
        target_lens = torch.tensor([len(row) for row in rows], device=device)
        memory, memory_lens = encoder_out[owners], lens[owners]
        scores = self._score(self.model.left_decoder, memory, memory_lens, targets, target_lens)
        if self.reverse_weight > 0 and self.model.right_decoder is not None:
            targets = reversed_tokens(targets, target_lens)
            reverse = self._score(self.model.right_decoder, memory, memory_lens, targets, target_lens)
            scores = (1 - self.reverse_weight) * scores + self.reverse_weight * reverse
        attention = iter(scores.tolist())
        rescored = [
            [replace(hyp, score=next(attention) + self.ctc_weight * hyp.score) for hyp in hyps] for hyps in nbest
        ]
        return [sorted(hyps, key=lambda hyp: hyp.score, reverse=True) for hyps in rescored]

    def _score(
        self, decoder: TransformerDecoder, memory: Tensor, memory_lens: Tensor, targets: Tensor, target_lens: Tensor
    ) -> Tensor:
        """(hypotheses,) log p(tokens, end | x)."""
        inputs, outputs = self.model.add_sos_eos(targets, target_lens)
        logits = decoder(memory, memory_lens, inputs, target_lens + 1)
        of_token = logits.float().log_softmax(dim=-1).gather(2, outputs.clamp(min=0).unsqueeze(2)).squeeze(2)
        return of_token.masked_fill(outputs < 0, 0.0).sum(dim=1)
