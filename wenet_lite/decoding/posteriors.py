"""CTC posteriors of a whole list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from wenet_lite.data.dataset import Batch, SpeechDataset
from wenet_lite.data.manifest import Manifest
from wenet_lite.data.reading_plan import reading_plan
from wenet_lite.features.fbank import SAMPLE_RATE, Fbank
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.context import FRAME_MS
from wenet_lite.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Posteriors:
    """Attributes:
    batch: utterances with their transcripts' tokens; what could not be read is in `failed`.
    log_probs: (batch, encoder_frames, vocab), natural log.
    lens: (batch,) valid encoder frames; 0 for utterances that are too short to be heard.
    """

    batch: Batch
    log_probs: Tensor
    lens: Tensor


class PosteriorReader:
    """Features, encoder and CTC over a list, batched by length.

    Args:
        model, fbank: in eval mode, on `device`.
        tokenizer: the model's.
        device: of the computation.
        chunk_size: encoder frames a chunk, -1 for whole utterances.
    """

    def __init__(
        self, model: AsrModel, fbank: Fbank, tokenizer: Tokenizer, device: torch.device, chunk_size: int = -1
    ) -> None:
        self.model, self.fbank, self.tokenizer, self.device = model, fbank, tokenizer, device
        self.chunk_size = chunk_size
        self.frame_ms = model.encoder.embed.rate * FRAME_MS

    def __call__(self, manifest: Manifest, max_frames: int = 12000) -> Iterator[Posteriors]:
        """Read every utterance.

        Args:
            manifest: the list, in any order.
            max_frames: padded feature frames a batch holds at most.
        """
        dataset = SpeechDataset(manifest, self.tokenizer.encode_transcript, SAMPLE_RATE)
        plan = reading_plan(manifest, max_frames)
        batches = dataset.load(map(plan.micro_batch, range(plan.num_micro_batches)), num_workers=0)
        for batch in tqdm(batches, total=plan.num_micro_batches, unit="batch", disable=None):
            if batch.keys:
                yield Posteriors(batch, *self._log_probs(batch))
            else:
                yield Posteriors(batch, torch.zeros(0, 0, self.model.vocab_size), torch.zeros(0, dtype=torch.long))

    @torch.no_grad()
    def _log_probs(self, batch: Batch) -> tuple[Tensor, Tensor]:
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
