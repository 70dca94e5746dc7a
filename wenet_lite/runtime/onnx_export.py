"""Export to ONNX: for WeNet's C++ runtime, and for recognition without torch's own networks."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from wenet_lite.data.manifest import Utterance
from wenet_lite.errors import ConfigError, ExportError
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.context import context_warnings
from wenet_lite.runtime.model_dir import LoadedModel
from wenet_lite.runtime.onnx_check import (
    INT8_TOLERANCE,
    TOLERANCE,
    Agreement,
    check_batch,
    check_decoder,
    expected_output,
    read_features,
    stream,
)
from wenet_lite.runtime.onnx_files import quantize as quantize_file
from wenet_lite.runtime.onnx_files import require_packages, write_onnx
from wenet_lite.runtime.onnx_graphs import batch_graphs, wenet_graphs
from wenet_lite.runtime.onnx_model import OnnxFile, OnnxModel

_LOG = logging.getLogger(__name__)

DEFAULT_LEFT_CHUNKS = 4


def export_onnx(
    loaded: LoadedModel,
    folder: Path,
    check_audio: Sequence[Utterance],
    chunk_size: int | None = None,
    num_left_chunks: int | None = None,
    quantize: bool = False,
) -> float:
    """Write `onnx/`: `encoder`, `ctc` and `decoder` for WeNet's runtime, and the files of `OnnxModel`.

    WeNet's runtime reads chunk and history from the files; `OnnxModel` takes any.

    Args:
        loaded: the model.
        folder: an existing model directory.
        check_audio: recordings on which every file must agree with the eager model.
        chunk_size: encoder frames a chunk in WeNet's runtime; as in training, or 16, where not given, and -1, the whole
            utterance, in a model that does not stream.
        num_left_chunks: chunks of history there, -1 for all; 4 where not given.
        quantize: write `*.int8.onnx`, too.
    Returns:
        the largest difference of the float files.
    Raises:
        ExportError: if a file does not agree with the model; `onnx/` is removed then.
        ConfigError: if a package is missing, or the model cannot be streamed so.
    """
    require_packages("onnx", "onnxscript", "onnxruntime")
    model = loaded.model
    chunk_size, num_left_chunks = streaming_choice(model, chunk_size, num_left_chunks)
    metadata = wenet_metadata(model, chunk_size, num_left_chunks)
    with removed_on_failure(folder / "onnx") as target:
        graphs = [*wenet_graphs(model, num_left_chunks), *batch_graphs(model)]
        for graph in graphs:
            write_onnx(graph, metadata, target / f"{graph.name}.onnx")
            if quantize:
                quantize_file(target / f"{graph.name}.onnx")
        difference = _check(loaded, folder, check_audio, chunk_size, num_left_chunks, int8=False).largest
        if quantize:
            _check(loaded, folder, check_audio, chunk_size, num_left_chunks, int8=True)
        for graph in graphs:
            sizes = [path.stat().st_size / 1e6 for path in sorted(target.glob(f"{graph.name}.*"), reverse=True)]
            _LOG.info("onnx/%s: %s", graph.name, ", int8 ".join(f"{size:.1f} MB" for size in sizes))
    return difference


def streaming_choice(model: AsrModel, chunk_size: int | None, num_left_chunks: int | None) -> tuple[int, int]:
    """Chunk and history of files that have them fixed, (-1, -1) for whole utterances.

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
        _LOG.warning("the export has %s", warning)
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


@contextmanager
def removed_on_failure(folder: Path) -> Iterator[Path]:
    """A new folder; what was there is replaced, and it vanishes if the block fails."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def refuse_disagreement(agreement: Agreement, folder: Path, *, int8: bool) -> None:
    """Raise ExportError if an export is too far from its model; the limits are those of float or int8 files."""
    if int8 and agreement.distance > INT8_TOLERANCE:
        raise ExportError(f"in int8 posteriors differ from the model's by {agreement.distance:.2g}", path=folder)
    if not int8 and not agreement.largest <= TOLERANCE:
        raise ExportError(f"the export differs from the model by {agreement.largest:.2g}", path=folder)


def log_agreement(name: str, agreement: Agreement, seconds: Sequence[float], *, int8: bool) -> None:
    """Tell how well files agree with the model, and how fast an encoder is on one thread."""
    kind = f"mean distance of posteriors {agreement.distance:.2g}" if int8 else f"{agreement.largest:.2g}"
    speed = 1000 * sum(seconds) / len(seconds)
    files = "int8 files" if int8 else "files"
    _LOG.info("%s: the %s agree with the model: %s; %.1f ms a chunk, one thread", name, files, kind, speed)


@torch.no_grad()
def _check(
    loaded: LoadedModel,
    folder: Path,
    check_audio: Sequence[Utterance],
    chunk_size: int,
    num_left_chunks: int,
    *,
    int8: bool,
) -> Agreement:
    """Compare all files with the model on each recording."""
    model, suffix = loaded.model, ".int8.onnx" if int8 else ".onnx"
    encoder, ctc, decoder = (OnnxFile(folder / f"onnx/{name}{suffix}", 1) for name in ("encoder", "ctc", "decoder"))
    exported = OnnxModel(folder.joinpath, model.config, int8=int8, num_threads=1)
    agreement, seconds = Agreement(), []
    for audio in check_audio:
        features = read_features(loaded, audio)
        encoder_out, per_chunk = stream(encoder, model, features, chunk_size, num_left_chunks)
        expected = expected_output(model, features, chunk_size, num_left_chunks)
        agreement.compare(encoder_out, expected)
        agreement.compare_log_probs(ctc(encoder_out)[0], model.ctc_log_probs(expected))
        check_decoder(decoder, model, expected, agreement)
        check_batch(exported, model, features, chunk_size, num_left_chunks, agreement)
        seconds.append(per_chunk)
    refuse_disagreement(agreement, folder / "onnx", int8=int8)
    log_agreement("onnx", agreement, seconds, int8=int8)
    return agreement
