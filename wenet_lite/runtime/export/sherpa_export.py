"""Export for sherpa-onnx: encoder and CTC in one file, as its `OnlineRecognizer.from_wenet_ctc` reads it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from wenet_lite.errors import ConfigError
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.runtime.export.agreement import CheckedAudio
from wenet_lite.runtime.export.onnx_check import OnnxCheck
from wenet_lite.runtime.export.onnx_export import choose_context, wenet_metadata
from wenet_lite.runtime.export.onnx_files import quantize as quantize_file
from wenet_lite.runtime.export.onnx_files import write_onnx
from wenet_lite.runtime.export.onnx_graphs import OnnxGraph, WenetEncoder, wenet_encoder
from wenet_lite.runtime.model_dir import LoadedModel
from wenet_lite.runtime.onnx_packages import require_packages

_INPUTS = {"chunk": "x", "att_cache": "attn_cache", "cnn_cache": "conv_cache", "att_mask": "attn_mask"}
"""Names that differ from those of WeNet's runtime."""


class SherpaModel(nn.Module):
    """Features of a chunk to log posteriors.

    Args:
        model: of which encoder and CTC are taken.
    """

    def __init__(self, model: AsrModel) -> None:
        super().__init__()
        self.encoder = WenetEncoder(model.encoder)
        self.ctc = model.ctc

    def forward(
        self,
        x: Tensor,
        offset: Tensor,
        required_cache_size: Tensor,
        attn_cache: Tensor,
        conv_cache: Tensor,
        attn_mask: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `WenetEncoder.forward`, but the first output is (1, encoder_frames, vocab) log posteriors."""
        out, attn_cache, conv_cache = self.encoder(x, offset, required_cache_size, attn_cache, conv_cache, attn_mask)
        return self.ctc(out), attn_cache, conv_cache


@torch.no_grad()
def export_sherpa(
    loaded: LoadedModel,
    folder: Path,
    audio: CheckedAudio,
    *,
    chunk_size: int | None = None,
    num_left_chunks: int | None = None,
    quantize: bool = False,
) -> None:
    """Write `sherpa/model.onnx` and `sherpa/tokens.txt`.

    Args:
        loaded: a model that streams.
        folder: to write into.
        audio: what the file must agree on with the model.
        chunk_size: encoder frames a chunk, for check and metadata; sherpa-onnx is told anew and may take another. As in
            training, or 16, where not given.
        num_left_chunks: chunks of history, the same; 4 where not given.
        quantize: `model.int8.onnx` beside it.
    Raises:
        ExportError: if a file differs from the model.
        ConfigError: if a package is missing, or the model cannot be streamed so.
    """
    require_packages("onnx", "onnxscript", "onnxruntime")
    chunk_size, num_left_chunks = choose_context(loaded.model, chunk_size, num_left_chunks)
    if num_left_chunks < 0:
        raise ConfigError("sherpa-onnx needs a model that streams, with a limited history", cure="export it to onnx")
    target = folder / "sherpa"
    target.mkdir(exist_ok=True)
    units = sorted(loaded.tokenizer.units.items(), key=lambda unit: unit[1])
    (target / "tokens.txt").write_text("".join(f"{unit} {index}\n" for unit, index in units), encoding="utf-8")
    path = target / "model.onnx"
    write_onnx(_graph(loaded.model), _metadata(loaded.model, chunk_size, num_left_chunks), path)
    OnnxCheck(loaded, audio, chunk_size, num_left_chunks, is_int8=False).one_stream(path, _unchanged)
    if quantize:
        check = OnnxCheck(loaded, audio, chunk_size, num_left_chunks, is_int8=True)
        check.one_stream(quantize_file(path), _unchanged)


def _graph(model: AsrModel) -> OnnxGraph:
    """As WeNet's encoder, under other names, and with scalars of one element."""
    encoder = wenet_encoder(model.encoder)
    inputs = {_INPUTS.get(name, name): example for name, example in encoder.inputs.items()}
    for name in ("offset", "required_cache_size"):
        inputs[name] = inputs[name].reshape(1)
    dynamic = {_INPUTS.get(name, name): axes for name, axes in encoder.dynamic.items()}
    outputs = ("log_probs", "next_att_cache", "next_conv_cache")
    return OnnxGraph("model", SherpaModel(model), inputs, outputs, dynamic)


def _metadata(model: AsrModel, chunk_size: int, num_left_chunks: int) -> dict[str, object]:
    """What sherpa-onnx reads: WeNet's, with another name for the subsampling, and the kind of model."""
    ours = {"model_type": "wenet_ctc", "version": 1, "subsampling_factor": model.encoder.embed.rate}
    return {**ours, **wenet_metadata(model, chunk_size, num_left_chunks)}


def _unchanged(log_probs: Tensor) -> Tensor:
    return log_probs
