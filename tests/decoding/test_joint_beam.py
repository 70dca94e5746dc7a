"""Joint search by attention and CTC: all sequences of a tiny vocabulary are the oracle."""

import pytest
import torch
from decoding_oracles import attention_score, ctc_score, make_model, sequences
from fusion_oracles import LM, FusedTexts, fused_texts
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wenet_lite.decoding.fusion import WordLm
from wenet_lite.decoding.joint_beam import JointBeamSearch
from wenet_lite.errors import ConfigError
from wenet_lite.text.tokenizer import SPECIAL_UNITS

LETTERS = (*SPECIAL_UNITS, *"AB")


@torch.no_grad()
@given(
    seed=st.integers(0, 500),
    frames=st.integers(1, 3),
    ctc_weight=st.sampled_from([0.1, 0.5, 0.9]),
    length_penalty=st.sampled_from([-1.0, 0.0, 2.0]),
    texts=fused_texts(with_end=True),
)
# The best is long, and its prefixes lag behind.
@example(seed=24, frames=3, ctc_weight=0.5, length_penalty=2.0, texts=FusedTexts((), (), None))
# Words earn when they end, so that longer texts lag behind until then.
@example(seed=0, frames=3, ctc_weight=0.5, length_penalty=0.0, texts=FusedTexts(LETTERS, (), WordLm(LM, 0.0, 3.0)))
@settings(max_examples=50, deadline=None)
def test_a_wide_beam_finds_the_best_of_all_sequences(
    seed: int, frames: int, ctc_weight: float, length_penalty: float, texts: FusedTexts
) -> None:
    model = make_model(seed=seed)
    memory, log_probs = torch.randn(frames, 8), (2 * torch.randn(frames, 5)).log_softmax(dim=1)
    scores = {}
    for tokens in sequences(frames):
        attention, ctc = attention_score(model, memory, tokens), ctc_score(log_probs, tokens)
        joint = (1 - ctc_weight) * attention + ctc_weight * ctc + texts.earned(tokens)
        scores[tokens] = joint / (len(tokens) + 1) ** length_penalty
    search = JointBeamSearch(model, len(scores), ctc_weight, length_penalty, texts.fusion)
    found = search(memory[None], torch.tensor([frames]), log_probs[None])[0]
    assert found[0].score == pytest.approx(max(scores.values()), abs=1e-4)
    assert [hyp.score for hyp in found] == sorted((hyp.score for hyp in found), reverse=True)
    assert len({hyp.tokens for hyp in found}) == len(found)
    for hyp in found:
        assert hyp.score == pytest.approx(scores[hyp.tokens], abs=1e-4)
        extra = texts.earned(hyp.tokens) / (len(hyp.tokens) + 1) ** length_penalty
        assert hyp.extra == pytest.approx(extra, abs=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("length_penalty", [0.0, 0.5])
def test_alone_equals_in_a_batch(length_penalty: float) -> None:
    model = make_model(vocab=12)
    lens = torch.tensor([6, 11, 3])
    encoder_out = torch.randn(3, 11, 8)
    search = JointBeamSearch(model, 4, 0.3, length_penalty)
    together = search(encoder_out, lens, model.ctc_log_probs(encoder_out))
    for i, length in enumerate(lens.tolist()):
        heard = encoder_out[i : i + 1, :length]
        alone = search(heard, lens[i : i + 1], model.ctc_log_probs(heard))[0]
        assert [hyp.tokens for hyp in alone] == [hyp.tokens for hyp in together[i]]
        assert [hyp.score for hyp in alone] == pytest.approx([hyp.score for hyp in together[i]], abs=1e-4)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_weight_that_leaves_one_of_the_two_is_refused(weight: float) -> None:
    with pytest.raises(ConfigError, match="ctc_weight"):
        JointBeamSearch(make_model(), 4, weight, 0.0)
