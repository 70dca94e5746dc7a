"""One encoder for all uses: alone, in a batch, in chunks, as streams, as TorchScript."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.errors import ConfigError
from wenet_lite.model.asr_model import AsrModel, ModelConfig
from wenet_lite.model.attention import DistanceMultiHeadedAttention, sinusoids
from wenet_lite.model.decoder import TransformerDecoderConfig
from wenet_lite.model.encoder import Encoder, EncoderConfig
from wenet_lite.model.subsampling import required_frames, right_context, subsampled_length, subsampling_rate

BINS = 20
FRONT_ENDS = ["conv2d", "conv2d6", "conv2d8", "dwconv2d4"]
POSITIONS = ["abs_pos", "rel_pos", "rel_pos_true"]
TYPES = ["conformer", "transformer"]
KINDS = {
    "type": st.sampled_from(TYPES),
    "pos_enc_layer_type": st.sampled_from(POSITIONS),
    "input_layer": st.sampled_from(FRONT_ENDS),
    "cnn_module_norm": st.sampled_from(["batch_norm", "layer_norm"]),
}
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
@pytest.mark.parametrize("causal", [True, False])
@given(lengths=st.lists(st.integers(0, 120), min_size=1, max_size=4), kind=st.fixed_dictionaries(KINDS))
@settings(max_examples=40, deadline=None)
def test_alone_equals_in_any_batch(causal: bool, lengths: list[int], kind: dict) -> None:
    encoder = make_encoder(causal=causal, use_dynamic_chunk=causal, **kind)
    rows = [torch.randn(n, BINS) for n in lengths]
    out, lens = encoder(
        torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=7.0), torch.tensor(lengths)
    )
    assert lens.tolist() == [subsampled_length(n, kind["input_layer"]) for n in lengths]
    for row, together, length in zip(rows, out, lens):
        torch.testing.assert_close(together[:length], encode_alone(encoder, row), rtol=0, atol=1e-5)


@torch.no_grad()
@given(
    frames=st.integers(15, 200),
    chunk_size=st.integers(1, 9),
    left=st.sampled_from([-1, 0, 1, 3]),
    kind=st.fixed_dictionaries(KINDS),
)
@settings(max_examples=60, deadline=None)
def test_a_stream_equals_the_masked_utterance(frames: int, chunk_size: int, left: int, kind: dict) -> None:
    encoder = make_encoder(**kind)
    rate, window = encoder.embed.rate, encoder.embed.right_context + 1
    features = torch.randn(frames, BINS)
    expected = encode_alone(encoder, features, chunk_size, left)
    cache = encoder.empty_cache(1, 0, features)
    outputs = []
    for start in range(0, frames - window + 1, rate * chunk_size):
        chunk = features[None, start : start + rate * (chunk_size - 1) + window]
        keep = (
            chunk_size * left
            if left >= 0
            else int(cache.offset) + subsampled_length(chunk.shape[1], kind["input_layer"])
        )
        out, _, cache = encoder.forward_chunk(chunk, torch.tensor([chunk.shape[1]]), cache, keep)
        outputs.append(out[0])
    torch.testing.assert_close(torch.cat(outputs), expected, rtol=0, atol=1e-5)


@torch.no_grad()
@given(
    lengths=st.lists(st.integers(7, 150), min_size=2, max_size=4),
    left=st.integers(0, 3),
    layers=st.sampled_from(TYPES),
    positions=st.sampled_from(POSITIONS),
)
@settings(max_examples=40, deadline=None)
def test_batched_streams_equal_single_streams(lengths: list[int], left: int, layers: str, positions: str) -> None:
    """Streams of different lengths step together; one that has ended brings no frames."""
    encoder, chunk_size = make_encoder(type=layers, pos_enc_layer_type=positions), 4
    rows = [torch.randn(n, BINS) for n in lengths]
    cache = encoder.empty_cache(len(rows), chunk_size * left, rows[0])
    outputs: list[list[torch.Tensor]] = [[] for _ in rows]
    for start in range(0, max(lengths), 4 * chunk_size):
        parts = [row[start : start + 4 * (chunk_size - 1) + 7] for row in rows]
        lens = torch.tensor([len(part) for part in parts])
        chunk = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=3.0)
        out, out_lens, cache = encoder.forward_chunk(chunk, lens, cache, chunk_size * left)
        for i, length in enumerate(out_lens):
            outputs[i].append(out[i, :length])
    for row, output in zip(rows, outputs):
        torch.testing.assert_close(torch.cat(output), encode_alone(encoder, row, chunk_size, left), rtol=0, atol=1e-5)


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


def test_losses_do_not_depend_on_the_batch() -> None:
    torch.manual_seed(0)
    model = AsrModel(ModelConfig(CONFIG, TransformerDecoderConfig(2, 32, 1)), BINS, 11).eval()
    rows = [torch.randn(90, BINS), torch.randn(40, BINS)]
    targets = [torch.tensor([3, 4, 4, 5]), torch.tensor([6])]
    padded = torch.nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=-1)
    features = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    together = model(features, torch.tensor([90, 40]), padded, torch.tensor([4, 1]))
    for i, (row, target) in enumerate(zip(rows, targets)):
        alone = model(row[None], torch.tensor([len(row)]), target[None], torch.tensor([len(target)]))
        torch.testing.assert_close(together.total[i], alone.total[0], rtol=1e-5, atol=1e-5)
        assert set(alone.parts) == {"ctc", "attention", "accuracy"}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"output_size": 30, "attention_heads": 4}, "multiple"),
        ({"causal": False}, "needs causal"),
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
@pytest.mark.parametrize("layers", TYPES)
@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_every_kind_can_be_scripted(layers: str, positions: str, front_end) -> None:
    encoder = make_encoder(type=layers, pos_enc_layer_type=positions, input_layer=front_end)
    scripted = torch.jit.script(encoder)
    features, lens = torch.randn(2, 90, BINS), torch.tensor([90, 51])
    torch.testing.assert_close(scripted(features, lens, 4, 1), encoder(features, lens, 4, 1), rtol=0, atol=1e-6)
    cache = encoder.empty_cache(2, 4, features)
    torch.testing.assert_close(
        scripted.forward_chunk(features, lens, cache, 4)[0], encoder.forward_chunk(features, lens, cache, 4)[0],
        rtol=0, atol=1e-6,
    )  # fmt: skip
