"""Searches with the attention decoder: brute force is the oracle, batches change nothing."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.decoding.attention_beam import AttentionBeamSearch
from wenet_lite.decoding.attention_rescoring import AttentionRescoring
from wenet_lite.decoding.decoder import Decoder
from wenet_lite.decoding.options import DECODING_MODES, DecodingOptions, Hypothesis
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.decoder import TransformerDecoderConfig
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.model_config import ModelConfig


def make_model(vocab: int = 5, seed: int = 0) -> AsrModel:
    torch.manual_seed(seed)
    encoder = EncoderConfig(
        output_size=8, attention_heads=2, linear_units=16, num_blocks=1, subsampling_channels=2, cnn_module_kernel=3
    )
    model = AsrModel(ModelConfig(encoder, TransformerDecoderConfig(2, 16, 1)), 20, vocab)
    for parameter in model.decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return model.eval()


def attention_score(model: AsrModel, memory: torch.Tensor, tokens: tuple[int, ...], ended: bool = True) -> float:
    """log p(tokens[, end] | memory), token by token."""
    total, prefix = 0.0, [model.sos_id]
    for token in [*tokens, *([model.eos_id] if ended else [])]:
        logits = model.decoder(
            memory[None], torch.tensor([len(memory)]), torch.tensor([prefix]), torch.tensor([len(prefix)])
        )
        total += float(logits[0, -1].log_softmax(-1)[token])
        prefix.append(token)
    return total


@torch.no_grad()
@given(seed=st.integers(0, 500), frames=st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_a_wide_attention_beam_finds_the_best_hypothesis(seed: int, frames: int) -> None:
    model = make_model(seed=seed)
    memory = torch.randn(frames, 8)
    words = [token for token in range(5) if token != model.eos_id]
    scores = {}
    for length in range(frames + 1):
        for tokens in itertools.product(words, repeat=length):
            scores[tokens] = attention_score(model, memory, tokens, ended=length < frames)
    best = max(scores, key=scores.__getitem__)
    # The beam is at most the vocabulary: wide enough for sequences this short to lose nothing that matters.
    found = AttentionBeamSearch(model, 5, 0.0)(memory[None], torch.tensor([frames]))[0]
    for hyp in found:
        assert hyp.score == pytest.approx(scores[hyp.tokens], abs=1e-4)
    if frames == 1:
        assert found[0].tokens == best
    assert found[0].score <= scores[best] + 1e-4


@torch.no_grad()
def test_token_by_token_equals_the_whole_prefix() -> None:
    model = make_model(vocab=9)
    memory, lens = torch.randn(2, 6, 8), torch.tensor([6, 3])
    tokens = torch.randint(3, 9, (2, 3, 5))
    cache = model.decoder.start(memory, lens, 3)
    for position in range(5):
        logits, cache = model.decoder.step(tokens[:, :, position], cache)
        for i in range(2):
            prefixes = tokens[i, :, : position + 1]
            args = (
                memory[i : i + 1].expand(3, -1, -1),
                lens[i : i + 1].expand(3),
                prefixes,
                torch.full((3,), position + 1),
            )
            torch.testing.assert_close(logits[i], model.decoder(*args)[:, -1], rtol=0, atol=1e-5)
        shuffle = torch.tensor([2, 0, 1, 3, 5, 4])
        tokens = tokens.flatten(0, 1)[shuffle].view(2, 3, 5)
        cache = cache.select(shuffle)


@torch.no_grad()
def test_rescoring_adds_the_attention_score_of_each_hypothesis() -> None:
    model = make_model()
    memories = torch.randn(2, 7, 8)
    lens = torch.tensor([7, 4])
    nbest = [
        [Hypothesis((3, 4, 3), -1.0, (0, 2, 5)), Hypothesis((), -2.0), Hypothesis((4,), -0.5, (1,))],
        [Hypothesis((1, 1), -3.0, (0, 2))],
    ]
    for i, found in enumerate(AttentionRescoring(model, ctc_weight=0.3)(memories, lens, nbest)):
        assert {hyp.tokens for hyp in found} == {hyp.tokens for hyp in nbest[i]}
        ctc = {hyp.tokens: hyp for hyp in nbest[i]}
        for hyp in found:
            expected = attention_score(model, memories[i, : lens[i]], hyp.tokens) + 0.3 * ctc[hyp.tokens].score
            assert hyp.score == pytest.approx(expected, abs=1e-4)
            assert hyp.times == ctc[hyp.tokens].times
        assert [hyp.score for hyp in found] == sorted((hyp.score for hyp in found), reverse=True)


@torch.no_grad()
@pytest.mark.parametrize("mode", DECODING_MODES)
def test_alone_equals_in_a_batch_and_silence_is_empty(mode: str) -> None:
    model = make_model(vocab=12)
    lens = torch.tensor([6, 0, 11, 3])
    encoder_out = torch.randn(4, 11, 8)
    decoder = Decoder(model, DecodingOptions(beam_size=4))
    together = decoder(encoder_out, lens, [mode])[mode]
    assert together[1] == [Hypothesis((), 0.0)]
    for i in (0, 2, 3):
        alone = decoder(encoder_out[i : i + 1, : lens[i]], lens[i : i + 1], [mode])[mode][0]
        assert [hyp.tokens for hyp in alone] == [hyp.tokens for hyp in together[i]]
        assert [hyp.score for hyp in alone] == pytest.approx([hyp.score for hyp in together[i]], abs=1e-4)


def test_modes_asked_for_are_the_modes_answered() -> None:
    model = make_model()
    found = Decoder(model, DecodingOptions())(torch.randn(1, 5, 8), torch.tensor([5]), ["attention_rescoring"])
    assert set(found) == {"attention_rescoring"}
