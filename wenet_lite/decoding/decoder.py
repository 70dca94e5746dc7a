"""All searches over one encoder pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from wenet_lite.decoding.attention_beam import AttentionBeamSearch
from wenet_lite.decoding.attention_rescoring import AttentionRescoring
from wenet_lite.decoding.ctc_greedy import CtcGreedySearch
from wenet_lite.decoding.ctc_prefix_beam import CtcPrefixBeamSearch
from wenet_lite.decoding.options import DecodingMode, DecodingOptions, Hypothesis
from wenet_lite.model.asr_model import AsrModel


class Decoder:
    """Decodes a batch in several modes; what modes have in common is computed once.

    Args:
        model: in eval mode.
        options: of the searches.
    """

    def __init__(self, model: AsrModel, options: DecodingOptions) -> None:
        self.model = model
        self.greedy = CtcGreedySearch(model.blank_id)
        self.prefix_beam = CtcPrefixBeamSearch(options.beam_size, model.blank_id)
        self.attention = AttentionBeamSearch(model, options.beam_size, options.length_penalty)
        self.rescoring = AttentionRescoring(model, options.ctc_weight)

    @torch.no_grad()
    def __call__(
        self, encoder_out: Tensor, lens: Tensor, modes: Sequence[DecodingMode]
    ) -> dict[DecodingMode, list[list[Hypothesis]]]:
        """Search in each of `modes`.

        Args:
            encoder_out: (batch, frames, dim).
            lens: (batch,) valid frames; an utterance without frames has one empty hypothesis.
            modes: names of the searches.
        Returns:
            for each mode and utterance the hypotheses, best first.
        """
        heard = lens.nonzero().squeeze(1)
        found = self._search(encoder_out[heard], lens[heard], modes) if len(heard) else {}
        results: dict[DecodingMode, list[list[Hypothesis]]] = {}
        for mode in modes:
            results[mode] = [[Hypothesis((), 0.0)] for _ in range(len(lens))]
            for index, hyps in zip(heard.tolist(), found.get(mode, [])):
                results[mode][index] = hyps
        return results

    def _search(
        self, encoder_out: Tensor, lens: Tensor, modes: Sequence[DecodingMode]
    ) -> dict[DecodingMode, list[list[Hypothesis]]]:
        results: dict[DecodingMode, list[list[Hypothesis]]] = {}
        log_probs = self.model.ctc_log_probs(encoder_out)
        if "ctc_greedy_search" in modes:
            results["ctc_greedy_search"] = self.greedy(log_probs, lens)
        if "ctc_prefix_beam_search" in modes or "attention_rescoring" in modes:
            results["ctc_prefix_beam_search"] = self.prefix_beam(log_probs, lens)
        if "attention" in modes:
            results["attention"] = self.attention(encoder_out, lens)
        if "attention_rescoring" in modes:
            nbest = results["ctc_prefix_beam_search"]
            results["attention_rescoring"] = self.rescoring(encoder_out, lens, nbest)
        return results
