"""Recognition of a whole list of utterances."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from wenet_lite.data.batch_plan import BatchConfig, BatchPlan, EpochPlan
from wenet_lite.data.dataset import SpeechDataset
from wenet_lite.data.manifest import Manifest
from wenet_lite.data.shard_plan import ShardPlan
from wenet_lite.decoding.decoder import Decoder
from wenet_lite.decoding.options import DecodingMode, DecodingOptions, Hypothesis
from wenet_lite.features.fbank import FRAME_SHIFT, SAMPLE_RATE, Fbank
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.text.tokenizer import Tokenizer

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecognitionOptions:
    """Attributes:
    modes: searches to run.
    decoding: their options.
    chunk_size: encoder frames a chunk, -1 for whole utterances.
    num_left_chunks: chunks of history, -1 for all.
    max_frames: padded feature frames a batch holds at most.
    """

    modes: tuple[DecodingMode, ...]
    decoding: DecodingOptions
    chunk_size: int = -1
    num_left_chunks: int = -1
    max_frames: int = 12000

    def folder(self, mode: DecodingMode) -> str:
        """Name of the folder with the results of `mode`: `<mode>[_chunk<C>_left<L>]`."""
        return mode if self.chunk_size < 0 else f"{mode}_chunk{self.chunk_size}_left{self.num_left_chunks}"


@dataclass(frozen=True)
class Recognized:
    """Attributes:
    hyps: for each mode and utterance id the hypotheses, best first.
    failed: id and reason of each utterance that could not be read; it has one empty hypothesis.
    frame_ms: milliseconds an encoder frame.
    real_time_factor: of each mode: features, encoder and its own search, as a part of the audio's length.
    """

    hyps: dict[DecodingMode, dict[str, list[Hypothesis]]]
    failed: dict[str, str]
    frame_ms: int
    real_time_factor: dict[DecodingMode, float]


@torch.no_grad()
def recognize(
    model: AsrModel, fbank: Fbank, manifest: Manifest, options: RecognitionOptions, device: torch.device
) -> Recognized:
    """Decode every utterance, batched by length; none is left out.

    Args:
        model, fbank: in eval mode, on `device`.
        manifest: the utterances, in any order; what it had to reject gets an empty hypothesis too.
        options: modes, searches and chunks.
        device: of the computation.
    """
    decoder = Decoder(model, options.decoding)
    hyps: dict[DecodingMode, dict[str, list[Hypothesis]]] = {mode: {} for mode in options.modes}
    failed = dict(manifest.rejected)
    audio_seconds = encoder_seconds = 0.0
    dataset = SpeechDataset(manifest, lambda text: (), SAMPLE_RATE)
    plan = _plan(manifest, options.max_frames)
    batches = dataset.load(map(plan.micro_batch, range(plan.num_micro_batches)), num_workers=0)
    for batch in tqdm(batches, total=plan.num_micro_batches, unit="batch", disable=None):
        failed.update(batch.failed)
        if not batch.keys:
            continue
        started = time.perf_counter()
        batch = batch.to(device)
        features, lens = fbank(batch.waveforms, batch.num_samples)
        audio_seconds += float(batch.num_samples.sum()) / SAMPLE_RATE
        long_enough = lens > model.encoder.embed.right_context
        keys = [key for key, long in zip(batch.keys, long_enough.tolist()) if long]
        failed.update({key: "is too short to be heard" for key in batch.keys if key not in keys})
        if not keys:
            continue
        encoder_out, encoder_lens = model.encoder(
            features[long_enough], lens[long_enough], options.chunk_size, options.num_left_chunks
        )
        encoder_lens = encoder_lens.clone()  # waits for a GPU, so that the clock is right
        encoder_seconds += time.perf_counter() - started
        for mode, found in decoder(encoder_out, encoder_lens, options.modes).items():
            hyps[mode].update(zip(keys, found))
    for key, reason in failed.items():
        _LOG.warning("utterance %s has an empty hypothesis: %s", key, reason)
        for found_in_mode in hyps.values():
            found_in_mode.setdefault(key, [Hypothesis((), 0.0)])
    factors = {
        mode: (encoder_seconds + decoder.seconds.get(mode, 0.0)) / max(audio_seconds, 1e-9) for mode in options.modes
    }
    frame_ms = model.encoder.embed.rate * FRAME_SHIFT * 1000 // SAMPLE_RATE
    return Recognized(hyps, failed, frame_ms, factors)


def write_results(
    result: Recognized, tokenizer: Tokenizer, options: RecognitionOptions, result_dir: Path
) -> list[Path]:
    """Write `text` (sorted by id), `nbest.jsonl` and `decode.json` of each mode; returns the folders."""
    folders = []
    for mode, hyps in result.hyps.items():
        folder = result_dir / options.folder(mode)
        folder.mkdir(parents=True, exist_ok=True)
        best = {key: tokenizer.decode(hyps[key][0].tokens) for key in sorted(hyps, key=str.encode)}
        lines = [f"{key} {text}".rstrip() + "\n" for key, text in best.items()]
        nbest = [_nbest_line(key, hyps[key], result.failed.get(key), tokenizer) for key in best]
        summary = {
            "schema": 1,
            "mode": mode,
            "chunk_size": options.chunk_size,
            "num_left_chunks": options.num_left_chunks,
            "frame_ms": result.frame_ms,
            "beam_size": options.decoding.beam_size,
            "real_time_factor": round(result.real_time_factor[mode], 5),
        }
        _write(folder / "nbest.jsonl", "".join(nbest))
        _write(folder / "decode.json", json.dumps(summary) + "\n")
        _write(folder / "text", "".join(lines))
        folders.append(folder)
    return folders


def _nbest_line(key: str, hyps: list[Hypothesis], reason: str | None, tokenizer: Tokenizer) -> str:
    entries = [{"text": tokenizer.decode(h.tokens), "score": round(h.score, 4), "times": h.times} for h in hyps]
    tree = {"schema": 1, "key": key, "nbest": entries, **({"reason": reason} if reason else {})}
    return json.dumps(tree, ensure_ascii=False) + "\n"


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


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
