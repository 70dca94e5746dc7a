"""Utterances that are heard as streams, by the clock of their audio."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from wenet_lite.decoding.batch_recognizer import BatchRecognizer
from wenet_lite.decoding.chunked_encoder import ChunkedEncoder
from wenet_lite.decoding.ctc_prefix_beam import CtcPrefixBeam
from wenet_lite.decoding.options import DecodingMode, Hypothesis
from wenet_lite.decoding.partial_results import ShownResult
from wenet_lite.decoding.words import spelled_words
from wenet_lite.features.fbank import FRAME_LENGTH, FRAME_SHIFT, SAMPLE_RATE


@dataclass(frozen=True)
class Replayed:
    """Attributes:
    results: what was shown, in order; the last is the final text.
    tokens: unit ids of the final text.
    encoder_out: (1, encoder_frames, dim) of the utterance.
    """

    results: tuple[ShownResult, ...]
    tokens: tuple[int, ...]
    encoder_out: Tensor


class StreamReplay:
    """Hears an utterance through caches, as its recogniser's chunks and history have it, or all of it at its end.

    Each chunk that is complete shows the best hypothesis of the incremental CTC prefix beam, at the audio position of
    the last sample of the last feature frame that the chunk is made of. The final text is that of the mode; it is
    shown where the audio ends, in place of what a last, incomplete chunk would show.

    Args:
        recognizer: has the chunks, the history and the searches.
        units: text of each id, as `Tokenizer.units` lists them.
        mode: search for the final text.
        counts_computation: add the time that this machine takes for encoder and search; a chunk waits for the one
            before it.
    """

    def __init__(
        self, recognizer: BatchRecognizer, units: list[str], mode: DecodingMode, *, counts_computation: bool = False
    ) -> None:
        self._recognizer, self._units, self._mode = recognizer, units, mode
        self._counts_computation = counts_computation

    @torch.inference_mode()
    def __call__(self, features: Tensor, duration_ms: float) -> Replayed:
        """Hear an utterance.

        Args:
            features: (1, frames, bins), enough for an encoder frame.
            duration_ms: length of the audio.
        """
        recognizer = self._recognizer
        started = time.perf_counter()
        results: list[ShownResult] = []
        if recognizer.options.chunk_size < 1:
            encoder_out, _ = recognizer.model.encoder(features, self._length(features))
            earliest = duration_ms
        else:
            encoder_out, earliest = self._listen(features, duration_ms, results)
            started = time.perf_counter()
        final = recognizer.search(encoder_out, self._length(encoder_out), (self._mode,))[0][self._mode][0]
        shown_ms = max(earliest, duration_ms) + self._spent(started)
        results.append(ShownResult(shown_ms, self._words(final)))
        return Replayed(tuple(results), final.tokens, encoder_out)

    def _listen(self, features: Tensor, duration_ms: float, results: list[ShownResult]) -> tuple[Tensor, float]:
        """Chunk by chunk; adds to `results` and returns the encoder's output and when all of it was there."""
        model, options = self._recognizer.model, self._recognizer.options
        chunks = ChunkedEncoder(model.encoder, options.chunk_size, options.num_left_chunks, features)
        beam = CtcPrefixBeam(options.decoding.beam_size, model.blank_id)
        outs, now_ms = [], 0.0
        for start in range(0, features.shape[1] - model.encoder.embed.right_context, chunks.stride):
            started = time.perf_counter()
            window = features[:, start : start + chunks.window]
            out, _ = chunks.advance(window, self._length(window))
            outs.append(out)
            if window.shape[1] < chunks.window:
                now_ms = max(now_ms, duration_ms) + self._spent(started)
                break
            beam.advance(model.ctc_log_probs(out)[0].cpu())
            words = self._words(beam.best())
            now_ms = max(now_ms, _position_ms(start + chunks.window)) + self._spent(started)
            results.append(ShownResult(now_ms, words))
        return torch.cat(outs, dim=1), now_ms

    def _words(self, hyp: Hypothesis) -> tuple[str, ...]:
        return tuple(word.text for word in spelled_words(hyp.tokens, self._units))

    def _length(self, frames: Tensor) -> Tensor:
        return torch.tensor([frames.shape[1]], device=frames.device)

    def _spent(self, started: float) -> float:
        return 1000 * (time.perf_counter() - started) if self._counts_computation else 0.0


def _position_ms(num_frames: int) -> float:
    """Milliseconds of audio that `num_frames` feature frames are made of."""
    return ((num_frames - 1) * FRAME_SHIFT + FRAME_LENGTH) * 1000 / SAMPLE_RATE
