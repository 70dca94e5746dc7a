"""What is written as ONNX: adapters of the model's parts, with the names of their inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export import Dim

from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.cache import EncoderCache
from wenet_lite.model.decoder import TransformerDecoder
from wenet_lite.model.encoder import Encoder
from wenet_lite.runtime.export.torchscript_model import TorchScriptModel

_CHUNK, _HISTORY, _NODES = 16, 8, 5
"""Encoder frames, cached frames and tokens of the examples that the exporter records; all can differ later."""


@dataclass(frozen=True)
class OnnxGraph:
    """One file to write.

    Attributes:
        name: of the file, without `.onnx`.
        module: what it computes.
        inputs: names and examples, in order.
        outputs: names.
        dynamic: for each input that has them its axes of any length.
    """

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    dynamic: dict[str, dict[int, Dim]]


class BatchEncoder(nn.Module):
    """Streams of any age and length together; as many frames are cached afterwards as before.

    Args:
        encoder: of the model.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, features: Tensor, lens: Tensor, att_cache: Tensor, cnn_cache: Tensor, cache_lens: Tensor, offset: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """As `Encoder.forward_chunk`, with the four parts of the cache one by one."""
        cache = EncoderCache(att_cache, cnn_cache, cache_lens, offset)
        out, out_lens, cache = self.encoder.advance(features, lens, cache, att_cache.shape[3])
        return out, out_lens, cache.attention, cache.convolution, cache.lens, cache.offset


class WenetEncoder(nn.Module):
    """One stream with a history of fixed room, as WeNet's C++ runtime and sherpa-onnx feed it.

    They start with the offset at `required_cache_size` and a mask over the empty cache. Positions count from the first
    frame of the stream, as in training, so that number is taken off again.

    Args:
        encoder: of the model.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self,
        chunk: Tensor,
        offset: Tensor,
        required_cache_size: Tensor,
        att_cache: Tensor,
        cnn_cache: Tensor,
        att_mask: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Encode the next chunk.

        Args:
            chunk: (1, frames, bins).
            offset: of one element: encoder frames put out so far, and `required_cache_size` more.
            required_cache_size: of one element: frames of `att_cache`.
            att_cache: (layers, heads, cache_frames, 2 * d_k).
            cnn_cache: (layers, 1, dim, kernel - 1).
            att_mask: (1, 1, cache_frames + encoder_frames), false on cached frames that are not there yet.
        Returns:
            (1, encoder_frames, dim) and the two caches for the next call, of the same shapes.
        """
        frames = att_cache.shape[2]
        heard = frames - (~att_mask).sum().reshape(1)
        cache = EncoderCache(att_cache.unsqueeze(1), cnn_cache, heard, (offset - required_cache_size).reshape(1))
        out, _, cache = self.encoder.advance(chunk, _all_frames(chunk), cache, frames)
        return out, cache.attention.squeeze(1), cache.convolution


class WenetWholeHistoryEncoder(nn.Module):
    """One stream that sees all of its past: WeNet's `num_decoding_left_chunks -1`.

    Args:
        encoder: of the model.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, chunk: Tensor, offset: Tensor, att_cache: Tensor, cnn_cache: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `WenetEncoder.forward`; the offset starts at 0, and the cache without frames."""
        frames = att_cache.shape[2]
        new_frames = (chunk.shape[1] - self.encoder.embed.right_context - 1) // self.encoder.embed.rate + 1
        heard = torch.full((1,), frames, dtype=torch.long)
        cache = EncoderCache(att_cache.unsqueeze(1), cnn_cache, heard, offset.reshape(1))
        out, _, cache = self.encoder.advance(chunk, _all_frames(chunk), cache, frames + new_frames)
        return out, cache.attention.squeeze(1), cache.convolution


class WenetDecoder(nn.Module):
    """Scores the hypotheses of one utterance in both directions, as WeNet's C++ runtime asks for them.

    Args:
        model: of which the decoders are taken.
    """

    def __init__(self, model: AsrModel) -> None:
        super().__init__()
        self.model = TorchScriptModel(model)

    def forward(self, hyps: Tensor, hyps_lens: Tensor, encoder_out: Tensor) -> tuple[Tensor, Tensor]:
        """As `TorchScriptModel.forward_attention_decoder`."""
        return self.model.forward_attention_decoder(hyps, hyps_lens, encoder_out, 0.5)


class TreeScorer(nn.Module):
    """A decoder that reads prefix trees.

    Args:
        decoder: of one direction.
    """

    def __init__(self, decoder: TransformerDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self, memory: Tensor, memory_lens: Tensor, tokens: Tensor, positions: Tensor, visible: Tensor
    ) -> Tensor:
        """As `TransformerDecoder.tree_logits`."""
        return self.decoder.tree_logits(memory, memory_lens, tokens, positions, visible)


def batch_graphs(model: AsrModel) -> list[OnnxGraph]:
    """What `OnnxModel` runs, except for `ctc`, which WeNet's runtime shares."""
    graphs = [_batch_encoder(model.encoder), _tree_scorer("left_decoder", model.left_decoder)]
    if model.right_decoder is not None:
        graphs.append(_tree_scorer("right_decoder", model.right_decoder))
    return graphs


def wenet_graphs(model: AsrModel, num_left_chunks: int) -> list[OnnxGraph]:
    """The three files of WeNet's runtime; the encoder's inputs depend on whether the history is limited."""
    encoder = _whole_history_encoder(model.encoder) if num_left_chunks < 0 else wenet_encoder(model.encoder)
    return [encoder, _ctc(model), _wenet_decoder(model)]


def wenet_encoder(encoder: Encoder) -> OnnxGraph:
    """`encoder` of WeNet's runtime, for a limited history."""
    att_cache, cnn_cache = _one_stream(encoder)
    inputs = {
        "chunk": _chunk(encoder, 1),
        "offset": torch.tensor(_HISTORY + _CHUNK),
        "required_cache_size": torch.tensor(_HISTORY),
        "att_cache": att_cache,
        "cnn_cache": cnn_cache,
        "att_mask": torch.ones(1, 1, _HISTORY + _CHUNK, dtype=torch.bool),
    }
    dynamic = {
        "chunk": {1: _frames("T", encoder)},
        "att_cache": {2: Dim("T_CACHE")},
        "att_mask": {2: Dim("T_ADD_T_CACHE")},
    }
    return OnnxGraph("encoder", WenetEncoder(encoder), inputs, ("output", "r_att_cache", "r_cnn_cache"), dynamic)


def _whole_history_encoder(encoder: Encoder) -> OnnxGraph:
    att_cache, cnn_cache = _one_stream(encoder)
    inputs = {
        "chunk": _chunk(encoder, 1),
        "offset": torch.tensor(_HISTORY),
        "att_cache": att_cache,
        "cnn_cache": cnn_cache,
    }
    dynamic = {"chunk": {1: _frames("T", encoder)}, "att_cache": {2: Dim("T_CACHE")}}
    module = WenetWholeHistoryEncoder(encoder)
    return OnnxGraph("encoder", module, inputs, ("output", "r_att_cache", "r_cnn_cache"), dynamic)


def _ctc(model: AsrModel) -> OnnxGraph:
    dynamic = {"hidden": {0: Dim("batch"), 1: Dim("T")}}
    return OnnxGraph("ctc", model.ctc, {"hidden": torch.zeros(2, _CHUNK, model.encoder.dim)}, ("probs",), dynamic)


def _wenet_decoder(model: AsrModel) -> OnnxGraph:
    hyps, length = Dim("NBEST"), Dim("L")
    inputs = {
        "hyps": torch.full((3, _NODES), model.sos_id),
        "hyps_lens": torch.tensor([_NODES, 2, 1]),
        "encoder_out": torch.zeros(1, _CHUNK, model.encoder.dim),
    }
    dynamic = {"hyps": {0: hyps, 1: length}, "hyps_lens": {0: hyps}, "encoder_out": {1: Dim("T")}}
    return OnnxGraph("decoder", WenetDecoder(model), inputs, ("score", "r_score"), dynamic)


def _batch_encoder(encoder: Encoder) -> OnnxGraph:
    batch = Dim("batch")
    features = _chunk(encoder, 2)
    cache = encoder.empty_cache(2, _HISTORY, features)
    inputs = {
        "features": features,
        "lens": torch.full((2,), features.shape[1]),
        "att_cache": cache.attention,
        "cnn_cache": cache.convolution,
        "cache_lens": cache.lens,
        "offset": cache.offset,
    }
    dynamic = {
        "features": {0: batch, 1: _frames("frames", encoder)},
        "lens": {0: batch},
        "att_cache": {1: batch, 3: Dim("cache_frames")},
        "cnn_cache": {1: batch},
        "cache_lens": {0: batch},
        "offset": {0: batch},
    }
    state = ("next_att_cache", "next_cnn_cache", "next_cache_lens", "next_offset")
    outputs = ("encoder_out", "encoder_lens", *state)
    return OnnxGraph("batch_encoder", BatchEncoder(encoder), inputs, outputs, dynamic)


def _tree_scorer(name: str, decoder: TransformerDecoder) -> OnnxGraph:
    batch, nodes = Dim("batch"), Dim("nodes")
    inputs = {
        "memory": torch.zeros(2, _CHUNK, decoder.dim),
        "memory_lens": torch.tensor([_CHUNK, 2]),
        "tokens": torch.zeros(2, _NODES, dtype=torch.long),
        "positions": torch.arange(_NODES).repeat(2, 1),
        "visible": torch.ones(2, _NODES, _NODES, dtype=torch.bool),
    }
    dynamic = {
        "memory": {0: batch, 1: Dim("frames")},
        "memory_lens": {0: batch},
        "tokens": {0: batch, 1: nodes},
        "positions": {0: batch, 1: nodes},
        "visible": {0: batch, 1: nodes, 2: nodes},
    }
    return OnnxGraph(name, TreeScorer(decoder), inputs, ("logits",), dynamic)


def _chunk(encoder: Encoder, batch_size: int) -> Tensor:
    frames = (_CHUNK - 1) * encoder.embed.rate + encoder.embed.right_context + 1
    return torch.zeros(batch_size, frames, encoder.input_dim)


def _one_stream(encoder: Encoder) -> tuple[Tensor, Tensor]:
    cache = encoder.empty_cache(1, _HISTORY, torch.zeros(0))
    return cache.attention.squeeze(1), cache.convolution


def _frames(name: str, encoder: Encoder) -> Dim:
    """An axis of feature frames: enough for one encoder frame."""
    return Dim(name, min=encoder.embed.right_context + 1)


def _all_frames(chunk: Tensor) -> Tensor:
    return torch.full((1,), chunk.shape[1], dtype=torch.long)
