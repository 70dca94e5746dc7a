"""The parity contract: alone, in any batch, by masks, by streams in any split and as TorchScript a model is the same.

Random small models of every kind, random utterances, eval mode, float32.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wenet_lite.config import dump_yaml
from wenet_lite.decoding.decoder import Decoder
from wenet_lite.decoding.fusion import NO_FUSION
from wenet_lite.decoding.options import DecodingOptions
from wenet_lite.errors import InputError
from wenet_lite.features.fbank import Fbank, FbankConfig
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.decoder import TransformerDecoderConfig
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.mixture import MixtureConfig
from wenet_lite.model.model_config import ModelConfig
from wenet_lite.model.multi_level import MultiLevelConfig
from wenet_lite.model.subsampling import subsampled_length
from wenet_lite.runtime.backend import Backend
from wenet_lite.runtime.cpu import prepare_for_cpu
from wenet_lite.runtime.endpoint import NO_ENDPOINTS
from wenet_lite.runtime.export.torchscript_model import TorchScriptModel
from wenet_lite.runtime.session import StreamingSession
from wenet_lite.runtime.stepper import StreamStepper
from wenet_lite.runtime.stream import Stream, StreamConfig
from wenet_lite.runtime.transcript import Transcriber
from wenet_lite.text.rules import TextRules
from wenet_lite.text.tokenizer import CharTokenizer, write_units

BINS, VOCAB = 20, 11
CLOSE = 1e-5
TIE = 1e-4
CPU = torch.device("cpu")

moes = st.one_of(
    st.none(),
    st.builds(
        MixtureConfig,
        num_experts=st.sampled_from([2, 5]),
        top_k=st.sampled_from([1, 2]),
        layers=st.sampled_from([None, (2,)]),
        embedding_num_blocks=st.just(1),
        embedding_linear_units=st.just(16),
    ),
    st.just(MixtureConfig(num_experts=3, embedding_num_blocks=0, embedding_ctc_weight=0.0)),
)


@st.composite
def configs(draw: st.DrawFn, *, streams: bool) -> ModelConfig:
    """Models of every kind; with `streams` only such as can stream."""
    kind = draw(st.sampled_from(["conformer", "transformer"]))
    causal = streams or draw(st.booleans())
    encoder = EncoderConfig(
        type=kind,
        output_size=16,
        attention_heads=2,
        linear_units=32,
        num_blocks=2,
        subsampling_channels=4,
        cnn_module_kernel=7,
        input_layer=draw(st.sampled_from(["conv2d", "conv2d6", "conv2d8", "dwconv2d4"])),
        pos_enc_layer_type=draw(st.sampled_from(["abs_pos", "rel_pos", "rel_pos_true"])),
        activation_type=draw(st.sampled_from([None, "gelu", "hardtanh"])),
        macaron_style=draw(st.integers(0, 3)) > 0,
        use_cnn_module=draw(st.integers(0, 3)) > 0,
        cnn_module_norm=draw(st.sampled_from(["batch_norm", "layer_norm"])),
        causal=causal,
        use_dynamic_chunk=causal,
        moe=draw(moes) if kind == "conformer" else None,
    )
    if encoder.use_dynamic_chunk and draw(st.integers(0, 3)) == 0:
        encoder = replace(encoder, use_dynamic_chunk=False, static_chunk_size=4)
    backwards = draw(st.booleans())
    return ModelConfig(
        encoder,
        TransformerDecoderConfig(
            2, 32, 1, r_num_blocks=int(backwards), activation_type=draw(st.sampled_from(["relu", "swish"]))
        ),
        reverse_weight=0.3 if backwards else 0.0,
        multi_level=draw(st.sampled_from([None, MultiLevelConfig((1,), self_conditioning=True)])),
    )


def build(config: ModelConfig, seed: int = 0) -> AsrModel:
    """A model whose biases and batch norms are not at their initial values, which would hide a leak of padding."""
    torch.manual_seed(seed)
    model = AsrModel(config, BINS, VOCAB).eval()
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            torch.nn.init.uniform_(parameter, -0.5, 0.5)
    return model


def pad(rows: list[Tensor], value: float = 7.0) -> tuple[Tensor, Tensor]:
    return torch.nn.utils.rnn.pad_sequence(rows, True, value), torch.tensor([len(row) for row in rows])


def encode_alone(model: AsrModel, features: Tensor, chunk_size: int = -1, left: int = -1) -> Tensor:
    return model.encoder(features[None], torch.tensor([len(features)]), chunk_size, left)[0][0]


def tie(model: AsrModel, features: Tensor, chunk_size: int = -1, left: int = -1) -> float:
    """Smallest margin in probability by which an expert of an utterance was chosen over the next."""
    moe = model.config.encoder.moe
    if moe is None or moe.top_k == moe.num_experts:
        return 1.0
    encoded = model.encoder.activations(features[None], torch.tensor([len(features)]), chunk_size, left, [])
    ranked = torch.stack(encoded.routing).sort(dim=-1, descending=True).values
    return float((ranked[..., moe.top_k - 1] - ranked[..., moe.top_k]).min())


def assert_same(
    actual: Tensor, expected: Tensor, model: AsrModel, features: Tensor, chunk_size: int = -1, left: int = -1
) -> None:
    """Equal, or two experts tie."""
    assert actual.shape == expected.shape
    gap = float((actual - expected).abs().max())
    margin = tie(model, features, chunk_size, left) if gap > CLOSE else 1.0
    assert gap <= CLOSE or margin < TIE, f"differs by {gap:.2g}, where the nearest two experts are {margin:.2g} apart"


def window(model: AsrModel) -> int:
    return model.encoder.embed.right_context + 1


@torch.no_grad()
@given(config=configs(streams=False), lengths=st.lists(st.integers(15, 120), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_alone_equals_in_any_batch(config: ModelConfig, lengths: list[int]) -> None:
    model = build(config)
    rows = [torch.randn(n, BINS) for n in lengths]
    targets = torch.tensor([[3, 4, 4], [5, -1, -1], [6, 7, -1], [8, 9, 10]])[: len(rows)]
    target_lens = (targets >= 0).sum(1)
    features, lens = pad(rows)
    out, out_lens = model.encoder(features, lens)
    assert out_lens.tolist() == [subsampled_length(n, config.encoder.input_layer) for n in lengths]
    losses = model(features, lens, targets, target_lens)
    for i, row in enumerate(rows):
        assert_same(out[i, : out_lens[i]], encode_alone(model, row), model, row)
        alone = model(row[None], lens[i : i + 1], targets[i : i + 1, : target_lens[i]], target_lens[i : i + 1])
        for name in ("ctc", "attention", "no_alignment"):
            gap = float(abs(losses.parts[name][i] - alone.parts[name][0]) / alone.parts[name][0].clamp(min=1.0))
            assert gap <= CLOSE or tie(model, row) < TIE, name


@torch.no_grad()
@given(
    config=configs(streams=True),
    frames=st.integers(15, 200),
    chunk_size=st.integers(1, 9),
    left=st.sampled_from([-1, 0, 1, 3]),
)
@settings(max_examples=60, deadline=None)
def test_a_stream_equals_the_masked_utterance(config: ModelConfig, frames: int, chunk_size: int, left: int) -> None:
    model = build(config)
    features = torch.randn(frames, BINS)
    rate, cache = model.encoder.embed.rate, model.encoder.empty_cache(1, 0, features)
    outputs = []
    for start in range(0, frames - window(model) + 1, rate * chunk_size):
        chunk = features[None, start : start + rate * (chunk_size - 1) + window(model)]
        keep = chunk_size * left
        if left < 0:
            keep = int(cache.offset) + subsampled_length(chunk.shape[1], config.encoder.input_layer)
        out, _, cache = model.encoder.forward_chunk(chunk, torch.tensor([chunk.shape[1]]), cache, keep)
        outputs.append(out[0])
    expected = encode_alone(model, features, chunk_size, left)
    assert_same(torch.cat(outputs), expected, model, features, chunk_size, left)


@torch.no_grad()
@given(
    config=configs(streams=True), lengths=st.lists(st.integers(15, 150), min_size=2, max_size=4), left=st.integers(0, 3)
)
@settings(max_examples=50, deadline=None)
def test_batched_streams_equal_single_streams(config: ModelConfig, lengths: list[int], left: int) -> None:
    """Streams of different lengths step together; one that has ended brings no frames."""
    model, chunk_size = build(config), 4
    rate = model.encoder.embed.rate
    rows = [torch.randn(n, BINS) for n in lengths]
    cache = model.encoder.empty_cache(len(rows), chunk_size * left, rows[0])
    outputs: list[list[Tensor]] = [[] for _ in rows]
    for start in range(0, max(lengths), rate * chunk_size):
        parts = [row[start : start + rate * (chunk_size - 1) + window(model)] for row in rows]
        chunk, lens = pad([part if len(part) >= window(model) else part[:0] for part in parts], 3.0)
        out, out_lens, cache = model.encoder.forward_chunk(chunk, lens, cache, chunk_size * left)
        assert cache.attention.shape[3] == chunk_size * left
        for i, length in enumerate(out_lens):
            outputs[i].append(out[i, :length])
    for row, output in zip(rows, outputs):
        assert_same(torch.cat(output), encode_alone(model, row, chunk_size, left), model, row, chunk_size, left)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CharTokenizer:
    folder = tmp_path_factory.mktemp("lang")
    write_units("abcdefgh", folder / "units.txt")
    dump_yaml(TextRules(), folder / "text_rules.yaml")
    return CharTokenizer(folder)


@torch.no_grad()
@given(
    config=configs(streams=True),
    splits=st.lists(st.integers(1, 6000), min_size=1, max_size=12),
    left=st.sampled_from([-1, 2]),
)
@settings(max_examples=30, deadline=None)
def test_audio_in_any_split_gives_the_text_and_scores_of_the_masked_utterance(
    tokenizer: CharTokenizer, config: ModelConfig, splits: list[int], left: int
) -> None:
    model, fbank, chunk_size = build(config), Fbank(FbankConfig(num_mel_bins=BINS)).eval(), 4
    samples = np.random.default_rng(len(splits)).standard_normal(6000 + sum(splits)).astype(np.float32) * 0.1
    decoder, backend = Decoder(model, DecodingOptions()), Backend(model, fbank, tokenizer, CPU, "float32")
    config_of_stream = StreamConfig(16000, chunk_size, left, NO_ENDPOINTS, NO_FUSION)
    session = StreamingSession(
        Stream(model, decoder, tokenizer, config_of_stream, torch.zeros(1)),
        StreamStepper(backend, decoder, Transcriber(tokenizer, 40)),
    )
    for portion in np.split(samples, np.cumsum(splits)):
        session.accept(portion)
    streamed = session.finish()
    features, lens = fbank(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    encoder_out, encoder_lens = model.encoder(features, lens, chunk_size, left)
    best = Decoder(model, DecodingOptions())(encoder_out, encoder_lens, ["attention_rescoring"])
    masked = best["attention_rescoring"][0][0]
    tied = tie(model, features[0], chunk_size, left) < TIE
    assert tied or streamed.text == tokenizer.decode(masked.tokens)
    assert tied or streamed.score == pytest.approx(masked.score, abs=1e-4, rel=1e-5)


@torch.no_grad()
@given(config=configs(streams=True))
@settings(max_examples=12, deadline=None)
def test_scripted_equals_eager(config: ModelConfig) -> None:
    model = build(config)
    scripted = torch.jit.script(model.encoder)
    features, lens = torch.randn(2, 90, BINS), torch.tensor([90, 51])
    for actual, expected in zip(scripted(features, lens, 4, 1), model.encoder(features, lens, 4, 1)):
        torch.testing.assert_close(actual, expected, rtol=0, atol=CLOSE)
    cache = model.encoder.empty_cache(2, 4, features)
    for _ in range(2):
        again = scripted.forward_chunk(features, lens, cache, 4)
        out, out_lens, cache = model.encoder.forward_chunk(features, lens, cache, 4)
        for actual, expected in zip((again[0], again[1], *again[2]), (out, out_lens, *cache)):
            torch.testing.assert_close(actual, expected, rtol=0, atol=CLOSE)


@torch.no_grad()
@given(config=configs(streams=True), left=st.integers(0, 2))
@settings(max_examples=20, deadline=None)
def test_prepared_for_a_cpu_equals_as_trained(config: ModelConfig, left: int) -> None:
    model, prepared = build(config), build(config)
    prepare_for_cpu(prepared)
    rows = [torch.randn(90, BINS), torch.randn(51, BINS)]
    features, lens = pad(rows)
    out, out_lens = model.encoder(features, lens, 4, left)
    again, _ = prepared.encoder(features, lens, 4, left)
    for i, row in enumerate(rows):
        assert_same(again[i, : out_lens[i]], out[i, : out_lens[i]], model, row, 4, left)
    torch.testing.assert_close(prepared.ctc_log_probs(out), model.ctc_log_probs(out), rtol=0, atol=CLOSE)
    tokens, token_lens = torch.tensor([[2, 3, 4, 5], [2, 6, 7, 0]]), torch.tensor([4, 3])
    for decoder, packed in ((model.left_decoder, prepared.left_decoder), (model.right_decoder, prepared.right_decoder)):
        if decoder is not None and packed is not None:
            scores = packed(out, out_lens, tokens, token_lens)
            torch.testing.assert_close(scores, decoder(out, out_lens, tokens, token_lens), rtol=0, atol=CLOSE)
    cache, same = (encoder.empty_cache(2, 4 * left, features) for encoder in (model.encoder, prepared.encoder))
    for start in (0, 4 * model.encoder.embed.rate):
        chunk = features[:, start : start + model.encoder.embed.rate * 3 + window(model)]
        heard = torch.tensor([chunk.shape[1], window(model)])
        out, out_lens, cache = model.encoder.forward_chunk(chunk, heard, cache, 4 * left)
        again, _, same = prepared.encoder.forward_chunk(chunk, heard, same, 4 * left)
        for i, row in enumerate(rows):
            assert_same(again[i, : out_lens[i]], out[i, : out_lens[i]], model, row, 4, left)


def test_what_is_prepared_for_a_cpu_still_refuses_bad_input() -> None:
    model = build(ModelConfig(EncoderConfig(output_size=16, attention_heads=2, linear_units=32, num_blocks=1)))
    prepare_for_cpu(model)
    features = torch.full((1, 67, BINS), torch.nan)
    with pytest.raises(InputError):
        model.encoder.forward_chunk(features, torch.tensor([67]), model.encoder.empty_cache(1, 0, features), 0)


@torch.no_grad()
@given(config=configs(streams=True))
@settings(max_examples=8, deadline=None)
def test_wenets_methods_equal_the_masked_utterance(config: ModelConfig) -> None:
    """What a deployed TorchScript file computes, one stream at a time, with history that grows."""
    model = build(config)
    runtime = torch.jit.script(TorchScriptModel(model))
    features, chunk_size = torch.randn(1, 131, BINS), 3
    attention = convolution = torch.zeros(0, 0, 0, 0)
    outputs: list[Tensor] = []
    for start in range(0, 131 - runtime.right_context(), runtime.subsampling_rate() * chunk_size):
        end = start + runtime.subsampling_rate() * (chunk_size - 1) + runtime.right_context() + 1
        offset = sum(out.shape[1] for out in outputs)
        chunk = features[:, start:end]
        out, attention, convolution = runtime.forward_encoder_chunk(chunk, offset, -1, attention, convolution)
        outputs.append(out)
    expected = encode_alone(model, features[0], chunk_size)
    assert_same(torch.cat(outputs, dim=1)[0], expected, model, features[0], chunk_size)
    log_probs = runtime.ctc_activation(torch.cat(outputs, dim=1))
    torch.testing.assert_close(log_probs[0], model.ctc_log_probs(torch.cat(outputs, dim=1))[0], rtol=0, atol=CLOSE)
