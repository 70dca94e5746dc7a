"""What a model costs: parameters by part, operations a second of audio, latency, memory of a stream."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from wenet_lite.model.asr_model import AsrModel, count_parameters

_FRAME_MS = 10
_WINDOW_MS = 25
_SECONDS = 10
_CHUNK_SIZE = 16
_NUM_LEFT_CHUNKS = 4


@dataclass(frozen=True)
class ModelCosts:
    """Attributes:
    parameters: trained values by part of the model, and their `total`.
    encoder_flops: floating-point operations of encoder and CTC head a second of audio, on an utterance of 10 s.
    frame_ms: milliseconds an encoder frame.
    front_end_ms: audio that an encoder frame needs after its own first feature frame.
    chunk_ms, history_ms: length of a chunk of 16 frames, and of the 4 chunks before it; 0 where the model looks at
        whole utterances only.
    latency_ms: longest wait of a sound, from the start of its chunk until all audio that the chunk needs is there.
    cache_bytes: state of one stream with that history, in float32.
    """

    parameters: dict[str, int]
    encoder_flops: float
    frame_ms: int
    front_end_ms: int
    chunk_ms: int
    history_ms: int
    latency_ms: int
    cache_bytes: int


@torch.no_grad()
def model_costs(model: AsrModel, input_dim: int) -> ModelCosts:
    """Count what a model costs.

    Args:
        model: in any mode.
        input_dim: feature bins.
    """
    parts = {name: count_parameters(part) for name, part in model.named_children()}
    encoder = model.eval().encoder
    frames = _SECONDS * 1000 // _FRAME_MS
    with FlopCounterMode(display=False) as counter:
        out, _ = encoder(torch.zeros(1, frames, input_dim), torch.tensor([frames]))
        model.ctc_log_probs(out)
    frame_ms, front_end_ms = encoder.embed.rate * _FRAME_MS, encoder.embed.right_context * _FRAME_MS
    streams = model.config.encoder.streams
    chunk_ms = _CHUNK_SIZE * frame_ms if streams else 0
    cache = encoder.empty_cache(1, _CHUNK_SIZE * _NUM_LEFT_CHUNKS, torch.zeros(1))
    return ModelCosts(
        parameters={**parts, "total": sum(parts.values())},
        encoder_flops=counter.get_total_flops() / _SECONDS,
        frame_ms=frame_ms,
        front_end_ms=front_end_ms,
        chunk_ms=chunk_ms,
        history_ms=_NUM_LEFT_CHUNKS * chunk_ms,
        latency_ms=chunk_ms - frame_ms + front_end_ms + _WINDOW_MS if streams else 0,
        cache_bytes=sum(t.numel() * t.element_size() for t in cache) if streams else 0,
    )
