"""What exported ONNX files give, beside what the model gives: on recordings, as streams and as whole utterances."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from wenet_lite.data.audio import read_audio, resample
from wenet_lite.data.manifest import Utterance
from wenet_lite.errors import ExportError
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.runtime.model_dir import LoadedModel
from wenet_lite.runtime.onnx_model import OnnxFile, OnnxModel
from wenet_lite.runtime.torchscript import TorchScriptModel
from wenet_lite.runtime.wenet_stream import WenetStream

TOLERANCE = 1e-4
"""Largest difference between an output and the model's; a part of it where it is above 1, as log posteriors are, for
float32 resolves -35 to 4e-6 only."""
INT8_TOLERANCE = 0.05
"""Largest mean difference between distributions over tokens, half the sum of absolute differences."""


@dataclass
class Agreement:
    """How far what a graph gives is from what the model gives.

    Attributes:
        largest: difference of any output, see TOLERANCE.
        distances: of each frame's or token's distribution from the model's, see INT8_TOLERANCE.
    """

    largest: float = 0.0
    distances: list[Tensor] = field(default_factory=list)

    @property
    def distance(self) -> float:
        """Mean of `distances`."""
        return float(torch.cat(self.distances).mean())

    def compare(self, actual: Tensor, expected: Tensor) -> None:
        """Count an output.

        Raises:
            ExportError: if its shape is another.
        """
        if actual.shape != expected.shape:
            raise ExportError(f"the export gives shape {list(actual.shape)}, the model {list(expected.shape)}")
        if expected.numel():
            gap = (actual - expected).abs() / expected.abs().clamp(min=1.0)
            self.largest = max(self.largest, float(gap.max()))

    def compare_log_probs(self, actual: Tensor, expected: Tensor) -> None:
        """Count (..., vocab) log probabilities; errors as in `compare`."""
        self.compare(actual, expected)
        self.distances.append((actual.exp() - expected.exp()).abs().sum(dim=-1).flatten() / 2)


def read_features(loaded: LoadedModel, audio: Utterance) -> Tensor:
    """(1, frames, bins) of a recording."""
    samples, rate = read_audio(audio.source, audio.start, audio.end)
    waveform = torch.from_numpy(resample(samples, rate, SAMPLE_RATE)).unsqueeze(0)
    features, _ = loaded.fbank(waveform, torch.tensor([waveform.shape[1]]))
    return features


def stream(
    file: OnnxFile, model: AsrModel, features: Tensor, chunk_size: int, num_left_chunks: int
) -> tuple[Tensor, float]:
    """A recording through a file of one stream, as WeNet's runtime and sherpa-onnx feed it.

    Returns:
        (1, encoder_frames, ...) the first output, and seconds a chunk.
    """
    embed = model.encoder.embed
    started = time.perf_counter()
    outs = list(WenetStream(file, chunk_size, num_left_chunks).encode(features, embed.rate, embed.right_context))
    return torch.cat(outs, dim=1), (time.perf_counter() - started) / len(outs)


def expected_output(model: AsrModel, features: Tensor, chunk_size: int, num_left_chunks: int) -> Tensor:
    """(1, encoder_frames, dim) of the model, by masks, not by caches."""
    out, _ = model.encoder(features, torch.tensor([features.shape[1]]), chunk_size, num_left_chunks)
    return out


def check_decoder(file: OnnxFile, model: AsrModel, encoder_out: Tensor, agreement: Agreement) -> None:
    """Score hypotheses of several lengths with WeNet's decoder file.

    Args:
        encoder_out: (1, frames, dim) of the model.
    """
    hyps, lens = _hypotheses(model, encoder_out)
    expected = TorchScriptModel(model).forward_attention_decoder(hyps, lens, encoder_out, 0.5)
    for actual, scores in zip(file(hyps, lens, encoder_out), expected):
        if scores.dim():
            agreement.compare_log_probs(actual, scores)
        else:
            agreement.compare(actual, scores)


def check_batch(
    exported: OnnxModel, model: AsrModel, features: Tensor, chunk_size: int, num_left_chunks: int, agreement: Agreement
) -> None:
    """Hear a recording and its first half together, as streams and as whole utterances, and score hypotheses.

    Args:
        features: (1, frames, bins).
    """
    frames = features.shape[1]
    lens = torch.tensor([frames, max(frames // 2, exported.encoder.embed.right_context + 1)])
    both = features.expand(2, -1, -1)
    if chunk_size > 0:
        for actual, expected in _both_streams(exported, model, both, lens, chunk_size, num_left_chunks):
            agreement.compare(actual, expected)
    encoder_out, out_lens = model.encoder(both, lens)
    actual, _ = exported.encoder(both, lens)
    for row, length in enumerate(out_lens.tolist()):
        expected = encoder_out[row : row + 1, :length]
        agreement.compare(actual[row : row + 1, :length], expected)
        agreement.compare_log_probs(
            exported.ctc_log_probs(actual[row : row + 1, :length]), model.ctc_log_probs(expected)
        )
    hyps, hyp_lens = _hypotheses(model, encoder_out[:1])
    memory, memory_lens = encoder_out[:1].expand(len(hyps), -1, -1), out_lens[:1].expand(len(hyps))
    positions = torch.arange(hyps.shape[1]).expand_as(hyps)
    visible = (positions.unsqueeze(1) <= positions.unsqueeze(2)) & (positions < hyp_lens.unsqueeze(1)).unsqueeze(1)
    tree = (memory, memory_lens, hyps, positions, visible)
    pairs = [(exported.left_decoder, model.left_decoder)]
    if exported.right_decoder and model.right_decoder:
        pairs.append((exported.right_decoder, model.right_decoder))
    for ours, theirs in pairs:
        agreement.compare_log_probs(
            ours.tree_logits(*tree).log_softmax(dim=-1), theirs.tree_logits(*tree).log_softmax(dim=-1)
        )


def _both_streams(
    exported: OnnxModel, model: AsrModel, features: Tensor, lens: Tensor, chunk_size: int, num_left_chunks: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each output of each chunk, that of the file and that of the model, each from its own cache."""
    embed = model.encoder.embed
    stride, window = chunk_size * embed.rate, (chunk_size - 1) * embed.rate + embed.right_context + 1
    ours = exported.encoder.empty_cache(len(lens), 0, features)
    theirs = model.encoder.empty_cache(len(lens), 0, features)
    for start in range(0, features.shape[1] - embed.right_context, stride):
        keep = (num_left_chunks if num_left_chunks >= 0 else start // stride + 1) * chunk_size
        left = (lens - start).clamp(0, window)
        left = left.where(left > embed.right_context, 0)
        chunk = features[:, start : start + window]
        actual, actual_lens, ours = exported.encoder.forward_chunk(chunk, left, ours, keep)
        expected, expected_lens, theirs = model.encoder.forward_chunk(chunk, left, theirs, keep)
        yield from zip((actual, actual_lens, *ours), (expected, expected_lens, *theirs))


def _hypotheses(model: AsrModel, encoder_out: Tensor) -> tuple[Tensor, Tensor]:
    """Three beginnings of what each frame's best tokens spell, start symbol first, and their lengths."""
    tokens = model.ctc_log_probs(encoder_out).argmax(dim=-1)[:, :8]
    hyps = torch.nn.functional.pad(tokens, (1, 0), value=model.sos_id).repeat(3, 1)
    length = hyps.shape[1]
    return hyps, torch.tensor([length, (length + 1) // 2, 1])
