"""Attention in fewer steps; the parity contract covers whole models, these are the edges of its table."""

import copy

import pytest
import torch
from torch import Tensor

from wenet_lite.model.cache import EncoderCache
from wenet_lite.model.encoder import Encoder
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.runtime.joint_attention import PositionTable, join_attention

BINS, CHUNK, HISTORY = 16, 4, 8


@pytest.fixture(scope="module")
def encoders() -> tuple[Encoder, Encoder]:
    """One as trained, and the same with its attention joined."""
    torch.manual_seed(0)
    plain = Encoder(EncoderConfig(output_size=16, attention_heads=2, linear_units=32, num_blocks=2), BINS).eval()
    joined = copy.deepcopy(plain)
    join_attention(joined)
    return plain, joined


@torch.no_grad()
@pytest.mark.parametrize("offsets", [[0], [5], [1023 - CHUNK], [1024 - CHUNK], [100_000], [3, 900], [3, 5000]])
def test_streams_agree_wherever_they_are(encoders: tuple[Encoder, Encoder], offsets: list[int]) -> None:
    plain, joined = encoders
    assert isinstance(joined.embed_positions, PositionTable)
    features, lens = torch.randn(len(offsets), 19, BINS), torch.full((len(offsets),), 19)
    caches = [_cache(encoder, offsets, features) for encoder in encoders]
    expected, _, next_cache = plain.advance(features, lens, caches[0], HISTORY)
    found, _, same = joined.advance(features, lens, caches[1], HISTORY)
    assert found.shape[1] == CHUNK
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(same.attention, next_cache.attention, rtol=0, atol=1e-4)


@pytest.mark.parametrize("positions", ["rel_pos_true", "abs_pos"])
def test_other_positions_stay(positions: str) -> None:
    config = EncoderConfig(output_size=16, attention_heads=2, num_blocks=1, pos_enc_layer_type=positions)  # type: ignore[arg-type]
    encoder = Encoder(config, BINS)
    before = encoder.encoders[0].self_attn
    join_attention(encoder)
    assert encoder.encoders[0].self_attn is before


def _cache(encoder: Encoder, offsets: list[int], like: Tensor) -> EncoderCache:
    """Of streams that have put out so many frames; what they remember is the same for every encoder."""
    empty = encoder.empty_cache(len(offsets), HISTORY, like)
    generator = torch.Generator().manual_seed(1)
    offset = torch.tensor(offsets)
    return EncoderCache(
        torch.randn(empty.attention.shape, generator=generator),
        torch.randn(empty.convolution.shape, generator=generator),
        offset.clamp(max=HISTORY),
        offset,
    )
