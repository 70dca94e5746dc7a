"""Word times of the known transcripts of a whole list, and which transcripts do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from wenet_lite.data.batch_plan import BatchConfig, BatchPlan, EpochPlan
from wenet_lite.data.dataset import Batch, SpeechDataset
from wenet_lite.data.kaldi import write_lines
from wenet_lite.data.manifest import Manifest
from wenet_lite.data.shard_plan import ShardPlan
from wenet_lite.decoding.alignment import Alignment, CtcAligner, Unalignable
from wenet_lite.decoding.confidence import word_evidence
from wenet_lite.decoding.ctc_greedy import CtcGreedySearch
from wenet_lite.decoding.suspicion import Suspicion, gap_per_frame, ranked, suspicion, suspicious_score
from wenet_lite.decoding.word_formats import TimedUtterance, to_ctm, to_json, to_textgrid
from wenet_lite.decoding.words import WordTiming, timed_words, word_spans
from wenet_lite.features.fbank import FRAME_SHIFT, SAMPLE_RATE, Fbank
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.text.tokenizer import Tokenizer

AlignmentFormat = Literal["ctm", "json", "textgrid"]
ALIGNMENT_FORMATS: tuple[AlignmentFormat, ...] = get_args(AlignmentFormat)


@dataclass(frozen=True)
class AlignedTranscripts:
    """Every utterance of a list is in `utterances` or in `unaligned`.

    Attributes:
        utterances: with word times, sorted by id; confidences are not calibrated.
        suspicions: of the same utterances, the most suspicious first.
        unaligned: id and reason of what has no alignment.
    """

    utterances: tuple[TimedUtterance, ...]
    suspicions: tuple[Suspicion, ...]
    unaligned: tuple[tuple[str, str], ...]

    @property
    def suspicious(self) -> list[Suspicion]:
        """Those that stand out, the most suspicious first."""
        limit = suspicious_score([each.score for each in self.suspicions])
        return [each for each in self.suspicions if each.score >= limit]


class TranscriptAligner:
    """Aligns transcripts with their audio, by a trained model.

    Args:
        model, fbank: in eval mode, on `device`.
        tokenizer: the model's.
        device: of the computation.
        chunk_size: encoder frames a chunk, -1 for whole utterances.
        timing: how words lie around CTC's peaks.
    """

    def __init__(
        self,
        model: AsrModel,
        fbank: Fbank,
        tokenizer: Tokenizer,
        device: torch.device,
        chunk_size: int = -1,
        timing: WordTiming | None = None,
    ) -> None:
        self.model, self.fbank, self.tokenizer, self.device = model, fbank, tokenizer, device
        self.chunk_size, self.timing = chunk_size, timing
        self.align, self.greedy = CtcAligner(model.blank_id), CtcGreedySearch(model.blank_id)
        self.frame_ms = model.encoder.embed.rate * FRAME_SHIFT * 1000 // SAMPLE_RATE

    def __call__(self, manifest: Manifest, max_frames: int = 12000) -> AlignedTranscripts:
        """Align every utterance, batched by length.

        Args:
            manifest: the utterances, in any order.
            max_frames: padded feature frames a batch holds at most.
        """
        utterances: list[TimedUtterance] = []
        suspicions: list[Suspicion] = []
        unaligned = list(manifest.rejected)
        dataset = SpeechDataset(manifest, self.tokenizer.encode_transcript, SAMPLE_RATE)
        plan = _plan(manifest, max_frames)
        batches = dataset.load(map(plan.micro_batch, range(plan.num_micro_batches)), num_workers=0)
        for batch in tqdm(batches, total=plan.num_micro_batches, unit="batch", disable=None):
            unaligned += batch.failed.items()
            if not batch.keys:
                continue
            log_probs, lens = self._log_probs(batch)
            tokens = [row[:length] for row, length in zip(batch.tokens.tolist(), batch.token_lens.tolist())]
            heard = [self.tokenizer.decode(hyps[0].tokens) for hyps in self.greedy(log_probs, lens)]
            for i, (key, found) in enumerate(zip(batch.keys, self.align(log_probs, lens, tokens))):
                if isinstance(found, Unalignable):
                    unaligned.append((key, found.reason))
                    continue
                duration_s = int(batch.num_samples[i]) / SAMPLE_RATE
                utterance, judged = self._judge(key, found, log_probs[i, : lens[i]], duration_s, heard[i])
                utterances.append(utterance)
                suspicions.append(judged)
        utterances.sort(key=lambda utterance: utterance.key.encode())
        return AlignedTranscripts(tuple(utterances), tuple(ranked(suspicions)), tuple(unaligned))

    @torch.no_grad()
    def _log_probs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(batch, encoder_frames, vocab) log posteriors and (batch,) valid encoder frames."""
        batch = batch.to(self.device)
        features, lens = self.fbank(batch.waveforms, batch.num_samples)
        heard = lens > self.model.encoder.embed.right_context
        encoder_lens = torch.zeros_like(lens)
        if not heard.any():
            return torch.zeros(len(lens), 0, self.model.vocab_size, device=self.device), encoder_lens
        encoder_out, encoder_lens[heard] = self.model.encoder(features[heard], lens[heard], self.chunk_size, -1)
        found = self.model.ctc_log_probs(encoder_out)
        log_probs = found.new_zeros(len(lens), *found.shape[1:])
        log_probs[heard] = found
        return log_probs, encoder_lens

    def _judge(
        self, key: str, alignment: Alignment, log_probs: Tensor, duration_s: float, heard: str
    ) -> tuple[TimedUtterance, Suspicion]:
        spans = word_spans(alignment.spans, list(self.tokenizer.units))
        confidences = [evidence.raw_confidence for evidence in word_evidence(spans)]
        words = timed_words(spans, confidences, self.frame_ms, duration_s, self.timing)
        judged = suspicion(key, gap_per_frame(alignment, log_probs), spans, heard)
        return TimedUtterance(key, duration_s, words), judged


def write_alignments(result: AlignedTranscripts, formats: tuple[AlignmentFormat, ...], output: Path) -> None:
    """Write word times and lists, each file by rename.

    Args:
        result: of a list.
        formats: `words.ctm`, `words.jsonl`, and `textgrid/<id>.TextGrid` (`/` of an id becomes `%2F`).
        output: the folder; receives `ranking.tsv` (id, score, reason), of which `suspicious.tsv` is the head, and
            `unaligned.tsv` (id, reason), too.
    """
    output.mkdir(parents=True, exist_ok=True)
    if "ctm" in formats:
        _write(output / "words.ctm", "".join(map(to_ctm, result.utterances)))
    if "json" in formats:
        _write(output / "words.jsonl", "".join(map(to_json, result.utterances)))
    if "textgrid" in formats:
        (output / "textgrid").mkdir(exist_ok=True)
        for each in result.utterances:
            name = each.key.replace("/", "%2F")
            _write(output / "textgrid" / f"{name}.TextGrid", to_textgrid(each))
    for name, suspicions in (("ranking.tsv", result.suspicions), ("suspicious.tsv", result.suspicious)):
        _write(output / name, "".join(f"{each.key}\t{each.score:.3f}\t{each.reason}\n" for each in suspicions))
    _write(output / "unaligned.tsv", "".join(f"{key}\t{reason}\n" for key, reason in result.unaligned))


def _write(path: Path, text: str) -> None:
    write_lines(path, text.encode().splitlines())


def _plan(manifest: Manifest, max_frames: int) -> EpochPlan:
    """Micro-batches that hold every utterance, however short or long."""
    frames = np.maximum(manifest.num_samples.astype(np.int64) * 100 // manifest.sample_rates, 1)
    if not len(frames):
        return EpochPlan(frames, frames, frames, np.zeros(1, dtype=np.int64), 1, 0.0)
    budget = max(max_frames, int(frames.max()))
    config = BatchConfig(budget, speed_factors=(1.0,), bucket_width=0.0, min_frames=0, max_frames_per_utterance=budget)
    if manifest.streamed:
        return ShardPlan(frames, np.zeros_like(frames), config, seed=0, shard_starts=manifest.starts).epoch(0)
    return BatchPlan(frames, np.zeros_like(frames), config, seed=0).epoch(0)
