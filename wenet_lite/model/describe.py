"""What a model costs: parameters by part, operations a second of audio, latency, memory of a stream."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from wenet_lite.model.asr_model import AsrModel, count_parameters
from wenet_lite.model.context import FRAME_MS, StreamingContext, streaming_context
from wenet_lite.model.mixture import MixtureOfExperts
from wenet_lite.model.model_config import TRAINING_ONLY

_SECONDS = 10
_NUM_LEFT_CHUNKS = 4


@dataclass(frozen=True)
class ModelCosts:
    """Attributes:
    parameters: trained values by part of the model, and their `total`.
    used_parameters: those that a frame goes through once the model is exported: without the heads of training, and
        with as many experts as a frame is sent to.
    encoder_flops: floating-point operations of encoder and CTC head a second of audio, on an utterance of 10 s.
    chunk_size: encoder frames a chunk: the model's static size or 16; 0 where it looks at whole utterances only.
    context: of such chunks, with 4 chunks of history.
    cache_bytes: state of one stream with that history, in float32.
    """

    parameters: dict[str, int]
    used_parameters: int
    encoder_flops: float
    chunk_size: int
    context: StreamingContext
    cache_bytes: int


@torch.no_grad()
def model_costs(model: AsrModel, input_dim: int) -> ModelCosts:
    """Count what a model costs.

    Args:
        model: in any mode.
        input_dim: feature bins.
    """
    counts = {name: count_parameters(part) for name, part in model.named_children()}
    parts = {name: count for name, count in counts.items() if count}
    idle = 0
    for module in model.modules():
        if isinstance(module, MixtureOfExperts):
            idle += count_parameters(module.experts[0]) * (module.num_experts - module.top_k)
    shipped = sum(count for name, count in parts.items() if not f"{name}.".startswith(TRAINING_ONLY))
    encoder = model.eval().encoder
    frames = _SECONDS * 1000 // FRAME_MS
    # The fused kernels of attention are not counted on a CPU.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        out, _ = encoder(torch.zeros(1, frames, input_dim), torch.tensor([frames]))
        model.ctc_log_probs(out)
    streams = model.config.encoder.streams
    chunk_size = model.config.encoder.streaming_chunk_size
    context = streaming_context(model.config.encoder, chunk_size, _NUM_LEFT_CHUNKS)
    cache = encoder.empty_cache(1, chunk_size * _NUM_LEFT_CHUNKS, torch.zeros(1))
    return ModelCosts(
        parameters={**parts, "total": sum(parts.values())},
        used_parameters=shipped - idle,
        encoder_flops=counter.get_total_flops() / _SECONDS,
        chunk_size=chunk_size,
        context=context,
        cache_bytes=sum(t.numel() * t.element_size() for t in cache) if streams else 0,
    )
