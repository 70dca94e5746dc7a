"""Word times of the known transcripts of a whole list, and which transcripts do not fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wenet_lite.data.kaldi import write_lines
from wenet_lite.data.manifest import Manifest
from wenet_lite.decoding.alignment import Alignment, CtcAligner, Unalignable
from wenet_lite.decoding.confidence import word_evidence
from wenet_lite.decoding.ctc_greedy import CtcGreedySearch
from wenet_lite.decoding.posteriors import PosteriorReader
from wenet_lite.decoding.suspicion import Suspicion, gap_per_frame, ranked, suspicion, suspicious_score
from wenet_lite.decoding.word_files import WordFiles, WordFormat
from wenet_lite.decoding.word_formats import TimedUtterance
from wenet_lite.decoding.words import WordTiming, timed_words, word_spans
from wenet_lite.features.fbank import SAMPLE_RATE, Fbank
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.text.tokenizer import Tokenizer


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
        self.read = PosteriorReader(model, fbank, tokenizer, device, chunk_size)
        self.tokenizer, self.timing = tokenizer, timing
        self.align, self.greedy = CtcAligner(model.blank_id), CtcGreedySearch(model.blank_id)

    def __call__(self, manifest: Manifest, max_frames: int = 12000) -> AlignedTranscripts:
        """Align every utterance, batched by length.

        Args:
            manifest: the utterances, in any order.
            max_frames: padded feature frames a batch holds at most.
        """
        utterances: list[TimedUtterance] = []
        suspicions: list[Suspicion] = []
        unaligned = list(manifest.rejected)
        for posteriors in self.read(manifest, max_frames):
            batch, log_probs, lens = posteriors.batch, posteriors.log_probs, posteriors.lens
            unaligned += batch.failed.items()
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

    def _judge(
        self, key: str, alignment: Alignment, log_probs: Tensor, duration_s: float, heard: str
    ) -> tuple[TimedUtterance, Suspicion]:
        spans = word_spans(alignment.spans, list(self.tokenizer.units))
        confidences = [evidence.raw_confidence for evidence in word_evidence(spans)]
        words = timed_words(spans, confidences, self.read.frame_ms, duration_s, self.timing)
        judged = suspicion(key, gap_per_frame(alignment, log_probs), spans, heard)
        return TimedUtterance(key, duration_s, words), judged


def write_alignments(result: AlignedTranscripts, formats: tuple[WordFormat, ...], output: Path) -> None:
    """Write word times and lists, each file by rename.

    Args:
        result: of a list.
        formats: of the word times, see `WordFiles`.
        output: the folder; receives `ranking.tsv` (id, score, reason), of which `suspicious.tsv` is the head, and
            `unaligned.tsv` (id, reason), too.
    """
    output.mkdir(parents=True, exist_ok=True)
    with WordFiles(output, formats) as files:
        for utterance in result.utterances:
            files.add(utterance)
    for name, suspicions in (("ranking.tsv", result.suspicions), ("suspicious.tsv", result.suspicious)):
        _write(output / name, "".join(f"{each.key}\t{each.score:.3f}\t{each.reason}\n" for each in suspicions))
    _write(output / "unaligned.tsv", "".join(f"{key}\t{reason}\n" for key, reason in result.unaligned))


def _write(path: Path, text: str) -> None:
    write_lines(path, text.encode().splitlines())
