"""ONNX files beside the eager model, on recordings: as streams, and as whole utterances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from wenet_lite.model.decoder import TransformerDecoder
from wenet_lite.runtime.export.agreement import Agreement, CheckedAudio, Reference, milliseconds
from wenet_lite.runtime.export.torchscript_model import TorchScriptModel
from wenet_lite.runtime.export.wenet_stream import WenetStream
from wenet_lite.runtime.model_dir import LoadedModel
from wenet_lite.runtime.onnx_model import OnnxEncoder, OnnxFile, OnnxTreeDecoder

_CHECKED_TOKENS = 8
_LONGEST_CHUNK = 64
"""Encoder frames that are timed as a chunk in a model of whole utterances."""


class OnnxCheck:
    """Checks files; each method takes one, and logs its size and speed on one thread.

    Args:
        loaded: what they were exported from.
        audio: recordings to agree on.
        chunk_size: encoder frames a chunk of streams, -1 for whole utterances.
        num_left_chunks: chunks of their history, -1 for all.
        is_int8: whether the files are.
    """

    def __init__(
        self, loaded: LoadedModel, audio: CheckedAudio, chunk_size: int, num_left_chunks: int, *, is_int8: bool
    ) -> None:
        self._model, self._references, self._is_int8 = loaded.model, audio.references, is_int8
        self._chunk_size, self._num_left_chunks = chunk_size, num_left_chunks
        embed = loaded.model.encoder.embed
        self._rate, self._look_ahead = embed.rate, embed.right_context

    def one_stream(self, path: Path, head: Callable[[Tensor], Tensor]) -> None:
        """A file that is fed as WeNet's runtime and sherpa-onnx feed theirs; what it gives is what masks give.

        Args:
            path: the file.
            head: from its first output to (1, encoder_frames, vocab) log posteriors.
        Raises:
            ExportError: if it does not agree with the model; so do the other methods.
        """
        file, agreement = OnnxFile(path, 1), Agreement(path, is_int8=self._is_int8)
        for reference in self._references:
            stream = WenetStream(file, self._chunk_size, self._num_left_chunks)
            actual = torch.cat(list(stream.encode(reference.features, self._rate, self._look_ahead)), dim=1)
            agreement.compare(head(actual), self._log_probs(reference), reference.key)
        chunk = self._chunk()
        stream = WenetStream(file, self._chunk_size, self._num_left_chunks)
        agreement.conclude(milliseconds(lambda: list(stream.encode(chunk, self._rate, self._look_ahead))))

    def ctc(self, path: Path) -> None:
        """`ctc`."""
        file, agreement = OnnxFile(path, 1), Agreement(path, is_int8=self._is_int8)
        for reference in self._references:
            agreement.compare(file(reference.encoder_out)[0], reference.log_probs, reference.key)
        chunk = self._references[0].encoder_out[:, : max(self._chunk_size, 1)]
        agreement.conclude(milliseconds(lambda: file(chunk)))

    def wenet_decoder(self, path: Path) -> None:
        """`decoder`, by hypotheses of several lengths in both directions."""
        file, agreement = OnnxFile(path, 1), Agreement(path, is_int8=self._is_int8)
        eager = TorchScriptModel(self._model)
        for reference in self._references:
            hyps, lens = self._hypotheses(reference)
            expected = eager.forward_attention_decoder(hyps, lens, reference.encoder_out, 0.5)
            for actual, scores in zip(file(hyps, lens, reference.encoder_out), expected):
                if scores.dim():  # else there is no such decoder
                    agreement.compare(actual, scores, reference.key)
        agreement.conclude(milliseconds(lambda: file(hyps, lens, reference.encoder_out)), "three hypotheses")

    def batch_encoder(self, path: Path) -> None:
        """`batch_encoder`, by each recording and its first half together, as streams and as whole utterances."""
        encoder = OnnxEncoder(OnnxFile(path, 1), self._model.config.encoder)
        agreement = Agreement(path, is_int8=self._is_int8)
        for reference in self._references:
            frames = reference.features.shape[1]
            lens = torch.tensor([frames, max(frames // 2, self._look_ahead + 1)])
            features = reference.features.expand(2, -1, -1)
            if self._chunk_size > 0 and not self._is_int8:
                for actual, expected in self._chunks(encoder, features, lens):
                    if expected.numel():  # a Transformer has no cache of convolutions
                        agreement.compare(actual, expected, reference.key)
            (actual, _), (expected, out_lens) = encoder(features, lens), self._model.encoder(features, lens)
            heard = torch.arange(expected.shape[1]) < out_lens.unsqueeze(1)
            posteriors = self._model.ctc_log_probs(actual[heard]), self._model.ctc_log_probs(expected[heard])
            agreement.compare(*posteriors, reference.key)
        chunk = self._chunk()
        lens = torch.tensor([chunk.shape[1]])
        cache = encoder.empty_cache(1, max(self._chunk_size * self._num_left_chunks, 0), chunk)
        room = cache.attention.shape[3]
        agreement.conclude(milliseconds(lambda: encoder.forward_chunk(chunk, lens, cache, room)))

    def tree_decoder(self, path: Path, eager: TransformerDecoder) -> None:
        """`left_decoder` or `right_decoder`, by trees that are three hypotheses."""
        decoder, agreement = OnnxTreeDecoder(OnnxFile(path, 1)), Agreement(path, is_int8=self._is_int8)
        for reference in self._references:
            hyps, lens = self._hypotheses(reference)
            memory = reference.encoder_out.expand(len(hyps), -1, -1)
            positions = torch.arange(hyps.shape[1]).expand_as(hyps)
            visible = (positions.unsqueeze(1) <= positions.unsqueeze(2)) & (positions < lens.unsqueeze(1)).unsqueeze(1)
            tree = memory, torch.full_like(lens, memory.shape[1]), hyps, positions, visible
            actual, expected = decoder.tree_logits(*tree), eager.tree_logits(*tree)
            agreement.compare(actual.log_softmax(dim=-1), expected.log_softmax(dim=-1), reference.key)
        agreement.conclude(milliseconds(lambda: decoder.tree_logits(*tree)), "three hypotheses")

    def _chunks(self, encoder: OnnxEncoder, features: Tensor, lens: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Each output of each chunk, that of the file and that of the model, each from its own cache."""
        ours, theirs = encoder.empty_cache(len(lens), 0, features), self._model.encoder.empty_cache(2, 0, features)
        stride, size = self._chunk_size * self._rate, self._chunk().shape[1]
        for start in range(0, features.shape[1] - self._look_ahead, stride):
            keep = (self._num_left_chunks if self._num_left_chunks > 0 else start // stride + 1) * self._chunk_size
            left = (lens - start).clamp(0, size)
            left = left.where(left > self._look_ahead, 0)
            chunk = features[:, start : start + size]
            actual, actual_lens, ours = encoder.forward_chunk(chunk, left, ours, keep)
            expected, expected_lens, theirs = self._model.encoder.forward_chunk(chunk, left, theirs, keep)
            heard = torch.arange(expected.shape[1]) < expected_lens.unsqueeze(1)
            yield from zip((actual[heard], actual_lens, *ours), (expected[heard], expected_lens, *theirs))

    def _log_probs(self, reference: Reference) -> Tensor:
        """Of the eager model, by masks."""
        lens = torch.tensor([reference.features.shape[1]])
        encoder_out, _ = self._model.encoder(reference.features, lens, self._chunk_size, self._num_left_chunks)
        return self._model.ctc_log_probs(encoder_out)

    def _hypotheses(self, reference: Reference) -> tuple[Tensor, Tensor]:
        """Three beginnings of the best tokens of a recording's frames, start symbol first, and their lengths."""
        tokens = reference.log_probs.argmax(dim=-1)[:, :_CHECKED_TOKENS]
        hyps = torch.nn.functional.pad(tokens, (1, 0), value=self._model.sos_id).repeat(3, 1)
        length = hyps.shape[1]
        return hyps, torch.tensor([length, (length + 1) // 2, 1])

    def _chunk(self) -> Tensor:
        """(1, frames, bins) of one chunk."""
        size = self._chunk_size if self._chunk_size > 0 else _LONGEST_CHUNK
        frames = (size - 1) * self._rate + self._look_ahead + 1
        return torch.zeros(1, frames, self._model.encoder.input_dim)
