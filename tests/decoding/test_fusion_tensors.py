"""Fusion in the searches token by token: what is added to hypotheses, and what hotwords do to an n-best."""

from collections.abc import Callable

import pytest
import torch
from decoding_oracles import make_model
from fusion_oracles import FusedTexts, fused_texts
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.decoding.attention_beam import AttentionBeamSearch
from wenet_lite.decoding.fusion import NO_FUSION, Fusion
from wenet_lite.decoding.fusion_tensors import FusionTensors
from wenet_lite.decoding.hotwords import Hotword
from wenet_lite.decoding.joint_beam import JointBeamSearch
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.text.tokenizer import SPECIAL_UNITS

LETTERS = (*SPECIAL_UNITS, *"ABCDEFGHI")


@given(texts=fused_texts(with_end=True), spelt=st.lists(st.sampled_from([0, 1, 3, 4]), max_size=6))
@settings(max_examples=100, deadline=None)
def test_all_tokens_are_favoured_by_what_each_earns(texts: FusedTexts, spelt: list[int]) -> None:
    fusion = FusionTensors(texts.fusion, torch.device("cpu"))
    states, first = fusion.start(1, 1), torch.zeros(1, 1, dtype=torch.long)
    for token in spelt:
        states = fusion.extend(states, first, first + token)
    earned = fusion.extended(states, torch.arange(5).expand(1, 1, 5)) - states.extra
    earned[:, :, 2] = fusion.whole(states) - states.extra
    favoured = fusion.favoured(torch.full((1, 1, 5), -1.0), states, end_id=2)
    torch.testing.assert_close(favoured + 1.0, earned.float(), rtol=0, atol=1e-5)


def attention(fusion: Fusion, beam_size: int) -> list[Hypothesis]:
    model = make_model(vocab=12, seed=8)
    encoder_out = torch.randn(1, 8, 8)
    return AttentionBeamSearch(model, beam_size, 0.0, fusion)(encoder_out, torch.tensor([8]))[0]


def joint(fusion: Fusion, beam_size: int) -> list[Hypothesis]:
    model = make_model(vocab=12, seed=8)
    encoder_out = torch.randn(1, 8, 8)
    log_probs = model.ctc_log_probs(encoder_out)
    return JointBeamSearch(model, beam_size, 0.3, 0.0, fusion)(encoder_out, torch.tensor([8]), log_probs)[0]


both_searches = pytest.mark.parametrize("search", [attention, joint])


@torch.no_grad()
@both_searches
def test_a_hotword_raises_the_rank_of_its_phrase(search: Callable[[Fusion, int], list[Hypothesis]]) -> None:
    def rank(hyps: list[Hypothesis]) -> int:
        return [hyp.tokens[:2] for hyp in hyps].index((11, 7))

    assert rank(search(NO_FUSION, 6)) > 0
    assert rank(search(Fusion(LETTERS, [Hotword("", (11, 7), 1.0)]), 6)) == 0


@torch.no_grad()
@both_searches
@pytest.mark.parametrize("letter", range(3, 12))
def test_a_hotword_wins_that_the_decoder_ranks_below_the_beam(
    search: Callable[[Fusion, int], list[Hypothesis]], letter: int
) -> None:
    phrase = letter, 5, 9
    assert all(hyp.tokens[:3] != phrase for hyp in search(NO_FUSION, 1))
    (found,) = search(Fusion(LETTERS, [Hotword("", phrase, 8.0)]), 1)
    assert phrase in zip(found.tokens, found.tokens[1:], found.tokens[2:])
