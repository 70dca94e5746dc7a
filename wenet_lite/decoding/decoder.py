"""All searches over one encoder pass, and the alignment of what they find."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from wenet_lite.decoding.acoustic_model import AcousticModel
from wenet_lite.decoding.alignment import CtcAligner, with_spans
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
        aligns: whether the best hypotheses have spans.
    """

    def __init__(
        self, model: AcousticModel, options: DecodingOptions, fusion: Fusion = NO_FUSION, *, aligns: bool = False
    ) -> None:
        self.model, self.fusion, self.aligns, self.blank_penalty = model, fusion, aligns, options.blank_penalty
        self.greedy = CtcGreedySearch(model.blank_id)
        self.prefix_beam = CtcPrefixBeamSearch(options.beam_size, model.blank_id)
        self.rescoring = AttentionRescoring(model, options.ctc_weight, options.reverse_weight)
        self._aligner = CtcAligner(model.blank_id)
        self._options = options
        self.seconds: dict[DecodingMode, float] = {}
        """Time spent so far on each mode, the CTC posteriors, a first pass that it needs and its alignment included."""

    @torch.inference_mode()
    def __call__(
        self, encoder_out: Tensor, lens: Tensor, modes: Sequence[DecodingMode]
    ) -> dict[DecodingMode, list[list[Hypothesis]]]:
        """Search in each of `modes`.

        Args:
            encoder_out: (batch, frames, dim).
            lens: (batch,) valid frames, at least 1 each.
            modes: names of the searches.
        Returns:
            for each mode and utterance the hypotheses, best first.
        """
        started = time.perf_counter()
        ctc_log_probs = self.model.ctc_log_probs(encoder_out)
        log_probs = self._penalised(ctc_log_probs)
        head = time.perf_counter() - started
        found = self._search(encoder_out, log_probs, lens, modes, head)
        results: dict[DecodingMode, list[list[Hypothesis]]] = {}
        for mode in modes:
            if not all(found[mode]):
                _LOG.warning("%s finds nothing: the model's output is not finite", mode)
            results[mode] = [hyps or [Hypothesis((), 0.0)] for hyps in found[mode]]
            if self.aligns:
                started = time.perf_counter()
                self.align(ctc_log_probs, lens, results[mode])
                self.seconds[mode] += time.perf_counter() - started
        return results

    def log_probs(self, encoder_out: Tensor) -> Tensor:
        """(batch, frames, dim) to (batch, frames, vocab) log posteriors, `blank_penalty` taken from them."""
        return self._penalised(self.model.ctc_log_probs(encoder_out))

    def align(self, log_probs: Tensor, lens: Tensor, nbests: Sequence[list[Hypothesis]]) -> None:
        """Give the best hypothesis of each utterance spans, in place.

        Args:
            log_probs: (batch, frames, vocab) log posteriors of CTC alone, without penalties.
            lens: (batch,) valid frames.
            nbests: of each utterance, best first.
        """
        alignments = self._aligner(log_probs, lens, [nbest[0].tokens for nbest in nbests])
        for nbest, alignment in zip(nbests, alignments):
            nbest[0] = with_spans(nbest[0], alignment)

    def _penalised(self, log_probs: Tensor) -> Tensor:
        if not self.blank_penalty:
            return log_probs
        penalties = log_probs.new_zeros(log_probs.shape[-1])
        penalties[self.model.blank_id] = self.blank_penalty
        return (log_probs - penalties).log_softmax(dim=-1)

    def _search(
        self, encoder_out: Tensor, log_probs: Tensor, lens: Tensor, modes: Sequence[DecodingMode], head: float
    ) -> dict[DecodingMode, list[list[Hypothesis]]]:
        """What each mode finds, and modes that others build on; `head`: seconds that the posteriors took."""
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
