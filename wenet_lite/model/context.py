"""What a chunk size and a history mean in milliseconds, and whether a model has been trained with them."""

from __future__ import annotations

from dataclasses import dataclass

from wenet_lite.features.fbank import FRAME_LENGTH, FRAME_SHIFT, SAMPLE_RATE
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.mask import MAX_TRAINING_CHUNK, MAX_TRAINING_LEFT_CHUNKS
from wenet_lite.model.subsampling import right_context, subsampling_rate

FRAME_MS = FRAME_SHIFT * 1000 // SAMPLE_RATE
"""Milliseconds from one feature frame to the next."""
_WINDOW_MS = FRAME_LENGTH * 1000 // SAMPLE_RATE


@dataclass(frozen=True)
class StreamingContext:
    """Attributes:
    frame_ms: milliseconds an encoder frame.
    front_end_ms: audio that an encoder frame needs after its own first feature frame.
    chunk_ms: length of a chunk.
    history_ms: length of the chunks before it that it sees; -1 for all of the past.
    latency_ms: longest wait of a sound, from the start of its chunk until all audio that the chunk needs is there.
    """

    frame_ms: int
    front_end_ms: int
    chunk_ms: int
    history_ms: int
    latency_ms: int


def streaming_context(config: EncoderConfig, chunk_size: int, num_left_chunks: int) -> StreamingContext:
    """The context of chunks of `chunk_size` encoder frames with `num_left_chunks` chunks of history, -1 for all."""
    frame_ms = subsampling_rate(config.input_layer) * FRAME_MS
    front_end_ms = right_context(config.input_layer) * FRAME_MS
    chunk_ms = chunk_size * frame_ms
    history_ms = num_left_chunks * chunk_ms if num_left_chunks >= 0 else -1
    return StreamingContext(
        frame_ms, front_end_ms, chunk_ms, history_ms, chunk_ms - frame_ms + front_end_ms + _WINDOW_MS
    )


def context_warnings(config: EncoderConfig, chunk_size: int, num_left_chunks: int) -> list[str]:
    """Why a model may do worse in this context than in those that it was trained in.

    Args:
        config: of the encoder.
        chunk_size: encoder frames a chunk, -1 for whole utterances.
        num_left_chunks: chunks of history, -1 for all.
    """
    if chunk_size <= 0 or not config.streams:
        return []
    asked = streaming_context(config, chunk_size, num_left_chunks)
    warnings = []
    if config.static_chunk_size and chunk_size != config.static_chunk_size:
        trained = streaming_context(config, config.static_chunk_size, -1)
        warnings.append(f"chunks of {asked.chunk_ms} ms, but it was trained with {trained.chunk_ms} ms alone")
    if config.use_dynamic_chunk and chunk_size > MAX_TRAINING_CHUNK:
        longest = streaming_context(config, MAX_TRAINING_CHUNK, -1).chunk_ms
        warnings.append(f"chunks of {asked.chunk_ms} ms, but it was trained with up to {longest} ms, or all at once")
    if num_left_chunks >= 0 and not config.use_dynamic_left_chunk:
        history = f"{asked.history_ms} ms of history"
        warnings.append(f"{history}, but it was trained with all of the past (use_dynamic_left_chunk: false)")
    if config.use_dynamic_left_chunk and num_left_chunks > MAX_TRAINING_LEFT_CHUNKS:
        warnings.append(
            f"{num_left_chunks} chunks of history, but it was trained with up to {MAX_TRAINING_LEFT_CHUNKS}"
        )
    return warnings
