"""Error rate, latency and flicker of a model for every pair of chunk and history."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from wenet_lite.data.batch_plan import MicroBatch
from wenet_lite.data.dataset import Batch, SpeechDataset
from wenet_lite.data.manifest import Manifest
from wenet_lite.decoding.alignment import CtcAligner, Unalignable
from wenet_lite.decoding.batch_recognizer import BatchRecognizer
from wenet_lite.decoding.options import DecodingMode, DecodingOptions
from wenet_lite.decoding.partial_results import steadiness
from wenet_lite.decoding.recognition import ListRecognizer
from wenet_lite.decoding.recognition_options import RecognitionOptions
from wenet_lite.decoding.stream_replay import Replayed, StreamReplay
from wenet_lite.decoding.words import timed_words, word_spans
from wenet_lite.distributed import World
from wenet_lite.errors import ConfigError, DataError
from wenet_lite.features.fbank import SAMPLE_RATE, Fbank
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.context import streaming_context
from wenet_lite.scoring.bootstrap import wer_interval
from wenet_lite.scoring.chunk_report import ChunkRow
from wenet_lite.scoring.wer import Scores, abridged, align
from wenet_lite.text.tokenizer import Tokenizer, word_splitter

_LOG = logging.getLogger(__name__)
_WHOLE = -1


@dataclass(frozen=True)
class ChunkEvaluationOptions:
    """Attributes:
    chunk_sizes: encoder frames a chunk, -1 for whole utterances.
    left_chunks: chunks of history, -1 for all; each is tried with each chunk size.
    mode: search for the final text.
    num_streamed: utterances that are heard as streams, evenly spread over the list.
    counts_computation: add the measured computation to the time at which a word is shown.
    """

    chunk_sizes: tuple[int, ...] = (_WHOLE, 16, 8, 4)
    left_chunks: tuple[int, ...] = (-1, 4)
    mode: DecodingMode = "attention_rescoring"
    num_streamed: int = 50
    counts_computation: bool = False

    def __post_init__(self) -> None:
        if not all(size == _WHOLE or size > 0 for size in self.chunk_sizes):
            raise ValueError("chunks must be -1 or at least 1")
        if min(self.left_chunks) < -1:
            raise ValueError("left_chunks must be at least -1")
        if self.num_streamed < 1:
            raise ValueError("streaming_utterances must be at least 1")

    @property
    def contexts(self) -> tuple[tuple[int, int], ...]:
        """Every pair of chunk size and left chunks once; whole utterances have no history."""
        pairs = [(size, left) for size in self.chunk_sizes for left in ([-1] if size == _WHOLE else self.left_chunks)]
        return tuple(dict.fromkeys(pairs))


@dataclass
class _Measures:
    """Of one pair of chunk and history."""

    texts: dict[str, str] = field(default_factory=dict)
    emission_ms: list[float] = field(default_factory=list)
    num_words: int = 0
    taken_back: int = 0
    num_streamed: int = 0


class ChunkEvaluation:
    """Hears some utterances as streams and the rest of a list in batches, once for every pair of chunk and history.

    The ends of words are those of the final text, aligned with the posteriors of the whole utterance, so that pairs
    are measured by one clock; those that are heard as streams are therefore encoded as a whole once besides.

    Args:
        model, fbank: in eval mode, on `device`.
        tokenizer: the model's.
        options: what to evaluate.
        device: of the computation.
    Raises:
        ConfigError: if the model was not trained in chunks, or in chunks of one size alone and whole utterances are
            asked for.
    """

    def __init__(
        self, model: AsrModel, fbank: Fbank, tokenizer: Tokenizer, options: ChunkEvaluationOptions, device: torch.device
    ) -> None:
        encoder = model.config.encoder
        if max(options.chunk_sizes) > 0 and not encoder.streams:
            raise ConfigError("the model was trained on whole utterances", cure="chunks need use_dynamic_chunk")
        if _WHOLE in options.chunk_sizes and encoder.static_chunk_size:
            size = encoder.static_chunk_size
            raise ConfigError(f"the model hears chunks of {size} frames, never whole", cure=f"take --chunks {size}")
        self._model, self._fbank, self._tokenizer, self._options = model, fbank, tokenizer, options
        self._align, self._units = CtcAligner(model.blank_id), list(tokenizer.units)
        self._recognizers = {context: self._recognizer(*context, device) for context in options.contexts}
        self._whole = self._recognizers.get((_WHOLE, -1)) or self._recognizer(_WHOLE, -1, device)
        self._device = device

    def __call__(self, manifest: Manifest, references: Mapping[str, str], num_workers: int) -> list[ChunkRow]:
        """Evaluate a list.

        Args:
            manifest: the list.
            references: transcript of each utterance, as a data directory has it; the model's text rules are applied.
            num_workers: processes that read audio ahead.
        Raises:
            DataError: if utterances have no reference, or there is none at all.
        """
        keys = _keys(manifest, references)
        indices = self._spread(manifest)
        measures = {context: _Measures() for context in self._recognizers}
        failed = self._hear_streams(manifest, indices, measures)
        rest = _without(manifest, indices)
        for context, recognizer in self._recognizers.items():
            list_recognizer = ListRecognizer(recognizer, self._tokenizer, rest)
            for _, utterances in list_recognizer.recognized(set(), World(), num_workers):
                for utterance in utterances:
                    if utterance.reason is not None:
                        failed[utterance.key] = utterance.reason
                    measures[context].texts[utterance.key] = utterance.nbest[self._options.mode][0]["text"]
        for key, reason in [*manifest.rejected, *failed.items()]:
            _LOG.warning("utterance %s is not heard: %s", key, reason)
        return [self._row(*context, found, keys, references) for context, found in measures.items()]

    def _recognizer(self, chunk_size: int, num_left_chunks: int, device: torch.device) -> BatchRecognizer:
        options = RecognitionOptions(
            (self._options.mode,), DecodingOptions(), chunk_size=chunk_size, num_left_chunks=num_left_chunks
        )
        return BatchRecognizer(self._model, self._fbank, options, device)

    def _spread(self, manifest: Manifest) -> np.ndarray:
        """Positions of the utterances that are heard as streams; recordings that are cut to segments are not."""
        short = np.flatnonzero(manifest.seconds <= self._whole.options.max_segment_seconds)
        chosen = np.linspace(0, len(short) - 1, min(self._options.num_streamed, len(short)))
        return short[chosen.round().astype(np.int64)]

    def _hear_streams(
        self, manifest: Manifest, indices: np.ndarray, measures: Mapping[tuple[int, int], _Measures]
    ) -> dict[str, str]:
        """Fill `measures`; returns id and reason of what cannot be heard."""
        replays = {context: self._replay(recognizer) for context, recognizer in self._recognizers.items()}
        hear_whole = self._replay(self._whole)
        failed: dict[str, str] = {}
        ones, zeros = np.ones(1), np.zeros(1, dtype=np.int64)
        alone = [MicroBatch(np.array([index]), ones, zeros) for index in indices]
        batches = SpeechDataset(manifest, lambda text: (), SAMPLE_RATE).load(alone, num_workers=0)
        for batch in tqdm(batches, total=len(alone), unit="stream", disable=None):
            failed.update(batch.failed)
            for key in batch.keys:
                features, duration_s = self._features(batch)
                if features.shape[1] <= self._model.encoder.embed.right_context:
                    failed[key] = "is too short to be heard"
                    continue
                whole = hear_whole(features, 1000 * duration_s)
                with torch.no_grad():
                    log_probs = self._model.ctc_log_probs(whole.encoder_out)
                for context, found in measures.items():
                    replayed = whole if context == (_WHOLE, -1) else replays[context](features, 1000 * duration_s)
                    self._measure(found, key, replayed, log_probs, duration_s)
        return failed

    def _features(self, batch: Batch) -> tuple[Tensor, float]:
        """(1, frames, bins) of the one utterance of a batch, and its seconds."""
        batch = batch.to(self._device)
        features, _ = self._fbank(batch.waveforms, batch.num_samples)
        return features, int(batch.num_samples[0]) / SAMPLE_RATE

    def _replay(self, recognizer: BatchRecognizer) -> StreamReplay:
        return StreamReplay(
            recognizer, self._units, self._options.mode, counts_computation=self._options.counts_computation
        )

    def _measure(self, found: _Measures, key: str, replayed: Replayed, log_probs: Tensor, duration_s: float) -> None:
        found.texts[key] = self._tokenizer.decode(replayed.tokens)
        steady = steadiness(replayed.results)
        found.num_words += len(steady.shown_ms)
        found.taken_back += steady.taken_back
        found.num_streamed += 1
        aligned = self._align(log_probs, torch.tensor([log_probs.shape[1]]), [replayed.tokens])[0]
        if not isinstance(aligned, Unalignable):
            spans = word_spans(aligned.spans, self._units)
            words = timed_words(spans, [0.0] * len(spans), self._whole.frame_ms, duration_s)
            found.emission_ms += [shown - 1000 * word.end_s for shown, word in zip(steady.shown_ms, words)]

    def _row(
        self,
        chunk_size: int,
        num_left_chunks: int,
        found: _Measures,
        keys: Sequence[str],
        references: Mapping[str, str],
    ) -> ChunkRow:
        words = word_splitter(self._tokenizer.units)
        refs = [words(self._tokenizer.rules(references[key])) for key in keys]
        hyps = [words(found.texts.get(key, "")) for key in keys]
        scores = Scores(tuple(align(keys, refs, hyps)), ())
        interval = wer_interval(scores)
        context = streaming_context(self._model.config.encoder, chunk_size, num_left_chunks)
        is_whole = chunk_size == _WHOLE
        emission = np.quantile(found.emission_ms, (0.5, 0.95)).round(1).tolist() if found.emission_ms else (None, None)
        return ChunkRow(
            mode=self._options.mode,
            chunk_size=chunk_size,
            num_left_chunks=num_left_chunks,
            frame_ms=self._whole.frame_ms,
            num_utterances=len(keys),
            num_words=scores.counts.ref_words,
            wer=scores.counts.rate,
            wer_low=interval.low,
            wer_high=interval.high,
            wait_mean_ms=None if is_whole else context.latency_ms - context.chunk_ms / 2,
            wait_worst_ms=None if is_whole else context.latency_ms,
            emission_median_ms=emission[0],
            emission_95_ms=emission[1],
            flicker=100 * found.taken_back / found.num_words if found.num_words else None,
            num_streamed=found.num_streamed,
            num_timed_words=len(found.emission_ms),
            counts_computation=self._options.counts_computation,
        )


def _keys(manifest: Manifest, references: Mapping[str, str]) -> list[str]:
    """Ids of a list, of which each has a reference."""
    rejected = (key for key, _ in manifest.rejected)
    keys = list(dict.fromkeys([*(utterance.key for utterance in manifest), *rejected]))
    if not keys:
        raise DataError("the list has no utterance")
    lacking = [key for key in keys if key not in references]
    if lacking:
        raise DataError(
            f"{len(lacking)} of {len(keys)} utterances have no reference: {abridged(lacking)}",
            cure="give the text of the same data directory",
        )
    return keys


def _without(manifest: Manifest, indices: np.ndarray) -> Manifest:
    """The other utterances of a manifest."""
    keep = np.ones(len(manifest), dtype=bool)
    keep[indices] = False
    kept_before = np.concatenate([[0], np.cumsum(keep)])
    return replace(
        manifest,
        starts=kept_before[manifest.starts],
        offsets=manifest.offsets[keep],
        num_samples=manifest.num_samples[keep],
        sample_rates=manifest.sample_rates[keep],
        parts=(),
    )
