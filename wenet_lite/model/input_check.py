"""Checks of what is handed to the encoder; wrong input is named, never computed on."""

from __future__ import annotations

import torch
from torch import Tensor

from wenet_lite.errors import InputError
from wenet_lite.model.cache import EncoderCache


def is_recorded() -> bool:
    """Whether `torch.export` or `torch.jit.trace` records what is computed: no step may depend on values then."""
    recorded = False
    if not torch.jit.is_scripting():  # type: ignore[attr-defined]
        recorded = _is_traced() or torch.compiler.is_exporting()
    return recorded


def check_utterances(features: Tensor, lens: Tensor, bins: int, window: int, *, finite: bool) -> None:
    """Refuse whole utterances that the encoder cannot take.

    Args:
        features: (batch, frames, bins).
        lens: (batch,) valid frames.
        bins: of the model.
        window: feature frames that the first encoder frame needs.
        finite: look at the values too, for which a GPU has to be waited for; training does not.
    Raises:
        InputError: naming the first fault.
    """
    _check_shapes(features, lens, bins)
    if not finite or is_recorded():
        return
    lengths = lens.tolist()
    _check_values(features, lengths)
    for row, length in enumerate(lengths):
        if length < window:
            raise InputError(f"utterance {row} has {length} feature frames, fewer than the front end's {window}")


def check_chunk(features: Tensor, lens: Tensor, bins: int, window: int, next_cache_frames: int) -> None:
    """Refuse chunks of streams that the encoder cannot take; arguments and errors as in `check_utterances`."""
    if next_cache_frames < 0:
        raise InputError(f"next_cache_frames {next_cache_frames} is negative", cure="all of the past is offset + chunk")
    _check_shapes(features, lens, bins)
    if is_recorded():
        return
    lengths = lens.tolist()
    _check_values(features, lengths)
    for row, length in enumerate(lengths):
        if 0 < length < window:
            message = f"stream {row} brings {length} feature frames, fewer than the front end's {window}"
            raise InputError(message, cure="keep them for the next chunk")


def check_cache(cache: EncoderCache, empty: EncoderCache) -> None:
    """Refuse the cache of another model, or of another number of streams.

    Args:
        cache: what a caller hands in.
        empty: what the model itself starts with.
    Raises:
        InputError: naming both shapes.
    """
    for name, given, own in (
        ("attention", _without_time(cache.attention), _without_time(empty.attention)),
        ("convolution", list(cache.convolution.shape), list(empty.convolution.shape)),
        ("lens", list(cache.lens.shape), list(empty.lens.shape)),
        ("offset", list(cache.offset.shape), list(empty.offset.shape)),
    ):
        if given != own:
            raise InputError(f"the cache is of another model or batch: {name} has shape {given}, not {own}")
    if not is_recorded() and int(cache.lens.max()) > cache.attention.shape[3]:
        raise InputError(f"the cache has {cache.attention.shape[3]} frames, but claims {int(cache.lens.max())}")


def check_batch_norm(num_frames: int) -> None:
    """Refuse a training batch that has no statistics.

    Raises:
        InputError: if it has one valid encoder frame only.
    """
    if num_frames < 2:
        raise InputError(f"batch norm cannot be trained on {num_frames} encoder frames", cure="take longer utterances")


def _check_shapes(features: Tensor, lens: Tensor, bins: int) -> None:
    if features.dim() != 3 or features.shape[2] != bins:
        raise InputError(f"features have shape {list(features.shape)}, not (batch, frames, {bins})")
    if lens.shape != features.shape[:1]:
        raise InputError(f"{features.shape[0]} utterances came with lengths of shape {list(lens.shape)}")


def _check_values(features: Tensor, lengths: list[int]) -> None:
    if not len(lengths):
        raise InputError("the batch is empty")
    if min(lengths) < 0 or max(lengths) > features.shape[1]:
        message = f"lengths go from {min(lengths)} to {max(lengths)}"
        raise InputError(f"{message}, but there are {features.shape[1]} feature frames")
    if not torch.isfinite(features.sum()):
        finite = torch.isfinite(features).flatten(1).all(dim=1)
        if not finite.all():
            raise InputError(f"the features of utterance {int((~finite).nonzero()[0])} are not finite")


def _without_time(attention: Tensor) -> list[int]:
    return [*attention.shape[:3], *attention.shape[4:]]


def _is_traced() -> bool:
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]
