"""Export of a trained model to a model directory, checked before it is left behind."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from wenet_lite.data.audio import read_audio, resample
from wenet_lite.data.manifest import Utterance
from wenet_lite.errors import ExportError
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.runtime.model_dir import LoadedModel, ModelDescription, new_folder, write_model_dir
from wenet_lite.runtime.torchscript import TorchScriptModel

_LOG = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Largest difference between the export and the eager model, on log posteriors; a part of those that are below -1,
since float32 resolves a log posterior of -35 to 4e-6 only."""


def export_torchscript(
    loaded: LoadedModel, description: ModelDescription, source: Path, target: Path, check_audio: Sequence[Utterance]
) -> float:
    """Write a model directory with `model.zip`, the TorchScript file.

    Args:
        loaded: the model.
        description: of `model.yaml`.
        source: the experiment directory.
        target: folder to make; replaced as a whole once all is written and checked.
        check_audio: recordings on which the file must agree with the eager model.
    Returns:
        the largest difference seen.
    Raises:
        ExportError: if the exported model differs by more than TOLERANCE.
        ConfigError: if `target` would replace `source`.
    """
    with new_folder(target, source) as folder:
        torch.jit.script(TorchScriptModel(loaded.model)).save(str(folder / "model.zip"))
        difference = _check(loaded, folder / "model.zip", check_audio)
        write_model_dir(loaded, description, source, folder)
    return difference


@torch.no_grad()
def _check(loaded: LoadedModel, path: Path, check_audio: Sequence[Utterance]) -> float:
    """Stream each recording through the file and compare with the masked forward of the eager model."""
    scripted = torch.jit.load(str(path))
    difference = 0.0
    for audio in check_audio:
        samples, rate = read_audio(audio.source, audio.start, audio.end)
        waveform = torch.from_numpy(resample(samples, rate, SAMPLE_RATE)).unsqueeze(0)
        features, lens = loaded.fbank(waveform, torch.tensor([waveform.shape[1]]))
        chunk_size = loaded.model.config.encoder.streaming_chunk_size or -1
        expected, _ = loaded.model.encoder(features, lens, chunk_size, -1)
        actual = _stream(scripted, features, chunk_size)
        log_probs = loaded.model.ctc_log_probs(expected)
        difference = max(difference, _gap(scripted.ctc_activation(actual), log_probs, audio.key))
        tokens = log_probs.argmax(-1)[:, :5]
        tokens = torch.nn.functional.pad(tokens, (1, 0), value=loaded.model.sos_id)
        token_lens = torch.tensor([tokens.shape[1]])
        memory_lens = torch.tensor([expected.shape[1]])
        scores, reverse_scores = scripted.forward_attention_decoder(tokens, token_lens, actual, 0.5)
        logits = loaded.model.left_decoder(expected, memory_lens, tokens, token_lens)
        difference = max(difference, _gap(scores, logits.log_softmax(-1), audio.key))
        if loaded.model.right_decoder is not None:
            tokens = torch.cat([tokens[:, :1], tokens[:, 1:].flip(1)], dim=1)
            logits = loaded.model.right_decoder(expected, memory_lens, tokens, token_lens)
            difference = max(difference, _gap(reverse_scores, logits.log_softmax(-1), audio.key))
    if difference > TOLERANCE:
        raise ExportError(f"the export differs from the model by {difference:.2g}", path=path)
    _LOG.info(
        "the export agrees with the model on %d recordings: largest difference %.2g", len(check_audio), difference
    )
    return difference


def _stream(scripted: torch.jit.ScriptModule, features: Tensor, chunk_size: int) -> Tensor:
    """Encoder output (1, frames, dim) of chunk after chunk."""
    rate, window = scripted.subsampling_rate(), scripted.right_context() + 1
    size = chunk_size if chunk_size > 0 else features.shape[1]
    outputs: list[Tensor] = []
    attention = convolution = torch.zeros(0, 0, 0, 0)
    offset = 0
    for start in range(0, features.shape[1] - window + 1, rate * size):
        chunk = features[:, start : start + rate * (size - 1) + window]
        out, attention, convolution = scripted.forward_encoder_chunk(chunk, offset, -1, attention, convolution)
        offset += out.shape[1]
        outputs.append(out)
    return torch.cat(outputs, dim=1)


def _gap(actual: Tensor, expected: Tensor, audio: str) -> float:
    if actual.shape != expected.shape:
        raise ExportError(
            f"the export gives shape {tuple(actual.shape)}, the model {tuple(expected.shape)}", path=audio
        )
    return float(((actual - expected).abs() / expected.abs().clamp(min=1.0)).max())
