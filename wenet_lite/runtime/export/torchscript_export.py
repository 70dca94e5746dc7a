"""TorchScript files: float32, and int8 for a CPU."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor

from wenet_lite.model.decoder import reversed_tokens
from wenet_lite.runtime.export.agreement import Agreement, CheckedAudio, Reference, milliseconds
from wenet_lite.runtime.export.torchscript_model import TorchScriptModel
from wenet_lite.runtime.int8 import quantize as quantize_model
from wenet_lite.runtime.model_dir import LoadedModel

_CHECKED_TOKENS = 5


def export_torchscript(loaded: LoadedModel, folder: Path, audio: CheckedAudio, *, quantize: bool) -> None:
    """Write `model.zip`, and `model.int8.zip` where wanted.

    Args:
        loaded: the model.
        folder: to write into.
        audio: what the files must agree on with the model.
        quantize: int8 beside float32.
    Raises:
        ExportError: if a file differs from the model.
    """
    _write(TorchScriptModel(loaded.model), folder / "model.zip", loaded, audio, is_int8=False)
    if quantize:
        model = copy.deepcopy(loaded.model)
        quantize_model(model)
        _write(TorchScriptModel(model), folder / "model.int8.zip", loaded, audio, is_int8=True)


@torch.no_grad()
def _write(model: TorchScriptModel, path: Path, loaded: LoadedModel, audio: CheckedAudio, *, is_int8: bool) -> None:
    torch.jit.script(model).save(str(path))
    scripted = torch.jit.load(str(path))
    agreement = Agreement(path, is_int8=is_int8)
    for reference in audio.references:
        _compare(scripted, loaded, reference, audio.chunk_size, agreement)
    longest = max((reference.features for reference in audio.references), key=lambda features: features.shape[1])
    rate, window = scripted.subsampling_rate(), scripted.right_context() + 1
    chunk = longest[:, : rate * (audio.chunk_size - 1) + window] if audio.chunk_size > 0 else longest
    empty = torch.zeros(0, 0, 0, 0)
    agreement.conclude(milliseconds(lambda: scripted.forward_encoder_chunk(chunk, 0, 0, empty, empty)))


def _compare(
    scripted: torch.jit.ScriptModule, loaded: LoadedModel, reference: Reference, chunk_size: int, agreement: Agreement
) -> None:
    """A recording as WeNet's runtime hears it: a stream through the encoder, CTC, both decoders."""
    model, expected = loaded.model, reference.encoder_out
    actual = _stream(scripted, reference.features, chunk_size)
    agreement.compare(scripted.ctc_activation(actual), reference.log_probs, reference.key)
    tokens = reference.log_probs.argmax(-1)[:, :_CHECKED_TOKENS]
    tokens = torch.nn.functional.pad(tokens, (1, 0), value=model.sos_id)
    token_lens, memory_lens = torch.tensor([tokens.shape[1]]), torch.tensor([expected.shape[1]])
    scores, reverse_scores = scripted.forward_attention_decoder(tokens, token_lens, actual, 0.5)
    logits = model.left_decoder(expected, memory_lens, tokens, token_lens)
    agreement.compare(scores, logits.log_softmax(-1), reference.key)
    if model.right_decoder is not None:
        tokens = torch.cat([tokens[:, :1], reversed_tokens(tokens[:, 1:], token_lens - 1)], dim=1)
        logits = model.right_decoder(expected, memory_lens, tokens, token_lens)
        agreement.compare(reverse_scores, logits.log_softmax(-1), reference.key)


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
