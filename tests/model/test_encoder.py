"""One encoder for all uses: alone, in a batch, in chunks, as streams, as TorchScript."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wenet_lite.errors import ConfigError
from wenet_lite.model.attention import DistanceMultiHeadedAttention, sinusoids
from wenet_lite.model.encoder import Encoder
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.subsampling import required_frames, right_context, subsampled_length, subsampling_rate

BINS = 20
FRONT_ENDS = ["conv2d", "conv2d6", "conv2d8", "dwconv2d4"]
POSITIONS = ["abs_pos", "rel_pos", "rel_pos_true"]
CONFIG = EncoderConfig(
    output_size=16, attention_heads=2, linear_units=32, num_blocks=2, subsampling_channels=4, cnn_module_kernel=7
)


def make_encoder(seed: int = 0, **changes) -> Encoder:
    """A small encoder in eval mode; batch norms have statistics that are not their initial ones."""
    torch.manual_seed(seed)
    encoder = Encoder(dataclasses.replace(CONFIG, **changes), BINS)
    for name, buffer in encoder.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    for parameter in encoder.parameters():
        if parameter.dim() == 1:  # biases start at zero, which would hide a leak of padding
            torch.nn.init.uniform_(parameter, -0.5, 0.5)
    return encoder.eval()


def encode_alone(encoder: Encoder, features, chunk_size: int = -1, left: int = -1):
    out, lens = encoder(features[None], torch.tensor([len(features)]), chunk_size, left)
    return out[0, : int(lens)]


@torch.no_grad()
@pytest.mark.parametrize("positions", POSITIONS)
def test_positions_have_no_limit(positions: str) -> None:
    """A stream goes on past any table of positions, in constant memory."""
    encoder = make_encoder(pos_enc_layer_type=positions)
    cache = encoder.empty_cache(1, 8, torch.zeros(1))
    cache = cache._replace(offset=torch.tensor([10_000_000]), lens=torch.tensor([8]))
    out, _, after = encoder.forward_chunk(torch.randn(1, 19, BINS), torch.tensor([19]), cache, 8)
    assert torch.isfinite(out).all()
    assert after.attention.shape == cache.attention.shape
    assert after.offset.tolist() == [10_000_004]


def test_batch_norm_statistics_ignore_padding() -> None:
    """Training on a padded batch moves the statistics as training on its frames alone does."""
    encoder, other = (make_encoder(cnn_module_norm="batch_norm", num_blocks=1) for _ in range(2))
    row = torch.randn(60, BINS)
    for model, features in (
        (encoder, row[None]),
        (other, torch.nn.functional.pad(row, (0, 0, 0, 40), value=9.0)[None]),
    ):
        model.train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        model.encoders[0].self_attn.dropout_rate = 0.0
        model(features, torch.tensor([60]))
    for (name, a), (_, b) in zip(encoder.named_buffers(), other.named_buffers()):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5, msg=name)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"output_size": 30, "attention_heads": 4}, "multiple"),
        ({"causal": False}, "use_dynamic_chunk needs causal"),
        ({"causal": False, "use_dynamic_chunk": False, "static_chunk_size": 8}, "static_chunk_size needs causal"),
        ({"static_chunk_size": 8}, "exclude each other"),
        ({"causal": False, "use_dynamic_chunk": False, "cnn_module_kernel": 8}, "odd"),
    ],
)
def test_impossible_configurations_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **changes)


@pytest.mark.parametrize("front_end, rate, context", [("conv2d", 4, 6), ("conv2d6", 6, 10), ("conv2d8", 8, 14)])
def test_front_ends_have_wenets_rates_and_contexts(front_end, rate: int, context: int) -> None:
    assert (subsampling_rate(front_end), right_context(front_end)) == (rate, context)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@given(frames=st.integers(0, 300))
def test_required_frames_are_the_fewest(front_end, frames: int) -> None:
    needed = required_frames(frames, front_end)
    assert subsampled_length(needed, front_end) == frames
    assert frames == 0 or subsampled_length(needed - 1, front_end) < frames


def test_too_few_feature_bins_are_refused() -> None:
    with pytest.raises(ConfigError, match="10 feature bins are too few for input_layer conv2d8"):
        Encoder(dataclasses.replace(CONFIG, input_layer="conv2d8"), 10)


@torch.no_grad()
def test_true_distances_make_a_late_chunk_like_an_early_one() -> None:
    features = torch.randn(1, 19, BINS)
    for positions in POSITIONS:
        encoder = make_encoder(pos_enc_layer_type=positions)
        _, _, cache = encoder.forward_chunk(features, torch.tensor([19]), encoder.empty_cache(1, 8, features), 8)
        late = cache._replace(offset=cache.offset + 90_000)  # an hour on
        early_out, late_out = (encoder.forward_chunk(features, torch.tensor([19]), c, 8)[0] for c in (cache, late))
        assert torch.equal(early_out, late_out) == (positions == "rel_pos_true")


@torch.no_grad()
def test_distance_attention_is_its_definition() -> None:
    torch.manual_seed(0)
    attention, x, cache = DistanceMultiHeadedAttention(2, 8, 0.0), torch.randn(1, 3, 8), torch.randn(1, 2, 4, 8)
    distances = sinusoids(torch.arange(6, -3, -1), 8)[None]
    mask = torch.rand(1, 3, 7) < 0.8
    mask[..., 0] = True
    out, keys_values = attention.forward_self(x, mask, distances, cache)
    keys, values = keys_values.chunk(2, dim=-1)
    expected = torch.zeros(2, 3, 4)
    for head in range(2):
        q = attention.linear_q(x)[0, :, 4 * head : 4 * head + 4]
        for i in range(3):
            scores = []
            for j in range(7):
                p = attention.linear_pos(sinusoids(torch.tensor(4 + i - j), 8))[4 * head : 4 * head + 4]
                score = (q[i] + attention.pos_bias_u[head]) @ keys[0, head, j] + (q[i] + attention.pos_bias_v[head]) @ p
                scores.append(score / 2 if mask[0, i, j] else torch.tensor(-torch.inf))
            expected[head, i] = torch.stack(scores).softmax(0) @ values[0, head]
    torch.testing.assert_close(out[0], attention.linear_out(expected.transpose(0, 1).flatten(1)), rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_static_chunk_is_used_wherever_no_other_is_asked_for() -> None:
    static, dynamic = make_encoder(use_dynamic_chunk=False, static_chunk_size=4), make_encoder()
    features, lens = torch.randn(1, 90, BINS), torch.tensor([90])
    assert torch.equal(static(features, lens)[0], dynamic(features, lens, 4)[0])
    assert torch.equal(static(features, lens, 8, 1)[0], dynamic(features, lens, 8, 1)[0])


@torch.no_grad()
def test_an_hour_of_stream_is_as_good_as_its_first_minute() -> None:
    """With true distances the same ten seconds are the same whenever they are heard, in a state that does not grow."""
    encoder, chunk_size = make_encoder(pos_enc_layer_type="rel_pos_true", num_blocks=1), 16
    repeated = torch.randn(1, 16 * 64 + 3, BINS)
    repeated[:, -3:] = repeated[:, :3]
    cache = encoder.empty_cache(1, 4 * chunk_size, repeated)
    minute: dict[int, torch.Tensor] = {}
    for chunk in range(5625):  # of 640 ms
        start = chunk % 16 * 64
        window = repeated[:, start : start + 67]
        out, _, after = encoder.forward_chunk(window, torch.tensor([67]), cache, 4 * chunk_size)
        assert [t.shape for t in after] == [t.shape for t in cache]
        cache = after
        if chunk < 93:
            minute[chunk % 16] = out
        elif chunk >= 5625 - 16:
            assert torch.equal(out, minute[chunk % 16])
    assert cache.offset.tolist() == [90_000]
