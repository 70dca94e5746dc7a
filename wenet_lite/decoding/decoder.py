"""All searches over one encoder pass."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from wenet_lite.decoding.acoustic_model import AcousticModel
from wenet_lite.decoding.attention_beam import AttentionBeamSearch
from wenet_lite.decoding.attention_rescoring import AttentionRescoring
from wenet_lite.decoding.ctc_greedy import CtcGreedySearch
from wenet_lite.decoding.ctc_prefix_beam import CtcPrefixBeamSearch
from wenet_lite.decoding.fusion import NO_FUSION, Fusion
from wenet_lite.decoding.joint_beam import JointBeamSearch
from wenet_lite.decoding.options import DecodingMode, DecodingOptions, Hypothesis
from wenet_lite.errors import ConfigError
from wenet_lite.model.asr_model import AsrModel

_LOG = logging.getLogger(__name__)


class Decoder:
    """Decodes a batch in several modes; what modes have in common is computed once.

    Args:
        model: in eval mode; an exported one serves the searches that do not go token by token.
        options: of the searches.
        fusion: hotwords and language model, for all searches but the greedy one.
    """

    def __init__(self, model: AcousticModel, options: DecodingOptions, fusion: Fusion = NO_FUSION) -> None:
        self.model, self.fusion, self.blank_penalty = model, fusion, options.blank_penalty
        self.greedy = CtcGreedySearch(model.blank_id)
        self.prefix_beam = CtcPrefixBeamSearch(options.beam_size, model.blank_id)
        self.rescoring = AttentionRescoring(model, options.ctc_weight, options.reverse_weight)
        self._options = options
        self.seconds: dict[DecodingMode, float] = {}
        """Time spent so far on each mode, the CTC posteriors and a first pass that it needs included."""

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
                if not hyps:
                    _LOG.warning("%s finds nothing: the model's output is not finite", mode)
                results[mode][index] = hyps or results[mode][index]
        return results

    def _search(
        self, encoder_out: Tensor, lens: Tensor, modes: Sequence[DecodingMode]
    ) -> dict[DecodingMode, list[list[Hypothesis]]]:
        started = time.perf_counter()
        log_probs = self.log_probs(encoder_out)
        head = time.perf_counter() - started
        results: dict[DecodingMode, list[list[Hypothesis]]] = {}

        def run(mode: DecodingMode, search: Callable[[], list[list[Hypothesis]]], before: float) -> float:
            started = time.perf_counter()
            results[mode] = search()
            spent = before + time.perf_counter() - started
            self.seconds[mode] = self.seconds.get(mode, 0.0) + spent
            return spent

        if "ctc_greedy_search" in modes:
            run("ctc_greedy_search", lambda: self.greedy(log_probs, lens), head)
        if "ctc_prefix_beam_search" in modes or "attention_rescoring" in modes:
            first_pass = run("ctc_prefix_beam_search", lambda: self.prefix_beam(log_probs, lens, self.fusion), head)
        if "attention" in modes:
            attention = AttentionBeamSearch(
                self._decoder_model("attention"), self._options.beam_size, self._options.length_penalty, self.fusion
            )
            run("attention", lambda: attention(encoder_out, lens), 0.0)
        if "attention_rescoring" in modes:
            nbest = results["ctc_prefix_beam_search"]
            run("attention_rescoring", lambda: self.rescoring(encoder_out, lens, nbest), first_pass)
        if "joint_ctc_attention" in modes:
            joint = JointBeamSearch(
                self._decoder_model("joint_ctc_attention"),
                self._options.beam_size,
                self._options.joint_ctc_weight,
                self._options.length_penalty,
                self.fusion,
            )
            run("joint_ctc_attention", lambda: joint(encoder_out, lens, log_probs), head)
        return results

    def _decoder_model(self, mode: DecodingMode) -> AsrModel:
        if not isinstance(self.model, AsrModel):
            raise ConfigError(f"an exported model cannot be searched by {mode}", cure="take attention_rescoring")
        return self.model

    def log_probs(self, encoder_out: Tensor) -> Tensor:
        """(batch, frames, dim) to (batch, frames, vocab) log posteriors, `blank_penalty` taken from them."""
        log_probs = self.model.ctc_log_probs(encoder_out)
        if self.blank_penalty:
            log_probs[..., self.model.blank_id] -= self.blank_penalty
            log_probs = log_probs.log_softmax(dim=-1)
        return log_probs
