"""Second pass: the attention decoder chooses among the CTC search's n-best."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from wenet_lite.decoding.options import Hypothesis
from wenet_lite.model.asr_model import AsrModel


class AttentionRescoring:
    """Adds the attention decoder's score to the CTC score of each hypothesis (U2, section 3.3).

    Args:
        model: its decoder scores.
        ctc_weight: weight of the CTC score.
    """

    def __init__(self, model: AsrModel, ctc_weight: float) -> None:
        self.model = model
        self.ctc_weight = ctc_weight

    def __call__(self, encoder_out: Tensor, lens: Tensor, nbest: list[list[Hypothesis]]) -> list[list[Hypothesis]]:
        """Rescore the n-best of all utterances of a batch in one pass of the decoder.

        Args:
            encoder_out: (batch, frames, dim).
            lens: (batch,) valid frames, at least 1 each.
            nbest: hypotheses of each utterance, scored by CTC.
        Returns:
            the same, best first, with `score` = log p(tokens, end | x) + ctc_weight * CTC score.
        """
        device = encoder_out.device
        owners = torch.tensor([i for i, hyps in enumerate(nbest) for _ in hyps], device=device)
        rows = [torch.tensor(hyp.tokens, dtype=torch.long) for hyps in nbest for hyp in hyps]
        targets = pad_sequence(rows, batch_first=True, padding_value=-1).to(device)
        target_lens = torch.tensor([len(row) for row in rows], device=device)
        inputs, outputs = self.model.add_sos_eos(targets, target_lens)
        logits = self.model.decoder(encoder_out[owners], lens[owners], inputs, target_lens + 1)
        of_token = logits.float().log_softmax(dim=-1).gather(2, outputs.clamp(min=0).unsqueeze(2)).squeeze(2)
        attention = iter(of_token.masked_fill(outputs < 0, 0.0).sum(dim=1).tolist())
        rescored = [
            [replace(hyp, score=next(attention) + self.ctc_weight * hyp.score) for hyp in hyps] for hyps in nbest
        ]
        return [sorted(hyps, key=lambda hyp: hyp.score, reverse=True) for hyps in rescored]
