"""Export to ONNX: for WeNet's C++ runtime, and for recognition by onnxruntime."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from wenet_lite.errors import ConfigError
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.context import context_warnings
from wenet_lite.runtime.export.agreement import CheckedAudio
from wenet_lite.runtime.export.onnx_check import OnnxCheck
from wenet_lite.runtime.export.onnx_files import quantize as quantize_file
from wenet_lite.runtime.export.onnx_files import write_onnx
from wenet_lite.runtime.export.onnx_graphs import batch_graphs, wenet_graphs
from wenet_lite.runtime.model_dir import LoadedModel
from wenet_lite.runtime.onnx_packages import require_packages

_LOG = logging.getLogger(__name__)

DEFAULT_LEFT_CHUNKS = 4


@torch.no_grad()
def export_onnx(
    loaded: LoadedModel,
    folder: Path,
    audio: CheckedAudio,
    *,
    chunk_size: int | None = None,
    num_left_chunks: int | None = None,
    quantize: bool = False,
) -> None:
    """Write `onnx/`: `encoder`, `ctc` and `decoder` for WeNet's runtime, and the files of `OnnxModel`.

    WeNet's runtime reads chunk and history from the files; `OnnxModel` takes any.

    Args:
        loaded: the model.
        folder: to write into.
        audio: what every file must agree on with the model.
        chunk_size: encoder frames a chunk in WeNet's runtime; as in training, or 16, where not given, and -1, the whole
            utterance, in a model that does not stream.
        num_left_chunks: chunks of history there, -1 for all; 4 where not given.
        quantize: `*.int8.onnx` beside each file.
    Raises:
        ExportError: if a file differs from the model.
        ConfigError: if a package is missing, or the model cannot be streamed so.
    """
    require_packages("onnx", "onnxscript", "onnxruntime")
    model = loaded.model
    chunk_size, num_left_chunks = choose_context(model, chunk_size, num_left_chunks)
    metadata = wenet_metadata(model, chunk_size, num_left_chunks)
    target = folder / "onnx"
    target.mkdir(exist_ok=True)
    for graph in [*wenet_graphs(model, num_left_chunks), *batch_graphs(model)]:
        path = target / f"{graph.name}.onnx"
        write_onnx(graph, metadata, path)
        _check(path, graph.name, model, OnnxCheck(loaded, audio, chunk_size, num_left_chunks, is_int8=False))
        if quantize:
            check = OnnxCheck(loaded, audio, chunk_size, num_left_chunks, is_int8=True)
            _check(quantize_file(path), graph.name, model, check)


def choose_context(model: AsrModel, chunk_size: int | None, num_left_chunks: int | None) -> tuple[int, int]:
    """Chunk and history of files that have them fixed, as in `export_onnx`; (-1, -1) for whole utterances.

    Raises:
        ConfigError: if the model does not stream, or not so.
    """
    config = model.config.encoder
    if chunk_size is None:
        chunk_size = config.streaming_chunk_size or -1
    if chunk_size <= 0:
        return -1, -1
    if not config.streams:
        raise ConfigError("this model was trained on whole utterances and cannot stream", cure="give no chunk size")
    num_left_chunks = DEFAULT_LEFT_CHUNKS if num_left_chunks is None else num_left_chunks
    if num_left_chunks == 0 or num_left_chunks < -1:
        raise ConfigError(f"{num_left_chunks} chunks of history", cure="give -1 for all, or a number from 1")
    for warning in context_warnings(config, chunk_size, num_left_chunks):
        _LOG.warning("the exported encoder has %s", warning)
    return chunk_size, num_left_chunks


def wenet_metadata(model: AsrModel, chunk_size: int, num_left_chunks: int) -> dict[str, object]:
    """What WeNet's C++ runtime reads in a file, and `feature_size`, `vocab_size` and `reverse_weight` for others."""
    encoder = model.encoder
    return {
        "output_size": encoder.dim,
        "num_blocks": encoder.num_caches,
        "head": encoder.num_heads,
        "cnn_module_kernel": encoder.left_context + 1,
        "subsampling_rate": encoder.embed.rate,
        "right_context": encoder.embed.right_context,
        "sos_symbol": model.sos_id,
        "eos_symbol": model.eos_id,
        "is_bidirectional_decoder": int(model.right_decoder is not None),
        "chunk_size": chunk_size,
        "left_chunks": num_left_chunks,
        "reverse_weight": model.config.reverse_weight,
        "feature_size": encoder.input_dim,
        "vocab_size": model.vocab_size,
    }


def _check(path: Path, name: str, model: AsrModel, check: OnnxCheck) -> None:
    if name == "encoder":
        check.one_stream(path, model.ctc_log_probs)
    elif name == "ctc":
        check.ctc(path)
    elif name == "decoder":
        check.wenet_decoder(path)
    elif name == "batch_encoder":
        check.batch_encoder(path)
    else:
        check.tree_decoder(path, getattr(model, name))
