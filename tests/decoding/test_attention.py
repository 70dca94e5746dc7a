"""Searches with the attention decoder: brute force is the oracle, batches change nothing."""

import itertools
from dataclasses import replace
from unittest import mock

import pytest
import torch
from decoding_oracles import attention_score, make_model
from fusion_oracles import LM, FusedTexts, fused_texts
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.decoding.alignment import CtcAligner, with_spans
from wenet_lite.decoding.attention_beam import AttentionBeamSearch
from wenet_lite.decoding.attention_rescoring import AttentionRescoring
from wenet_lite.decoding.decoder import Decoder
from wenet_lite.decoding.fusion import NO_FUSION, Fusion, WordLm
from wenet_lite.decoding.hotwords import Hotword
from wenet_lite.decoding.options import DECODING_MODES, DecodingMode, DecodingOptions, Hypothesis
from wenet_lite.text.tokenizer import SPECIAL_UNITS

LETTERS = (*SPECIAL_UNITS, *"ABCDEFGHI")
FUSION = Fusion(
    LETTERS,
    [Hotword("", (3, 7)), Hotword("", (7, 7, 5)), Hotword("", (11,), 1.0)],
    WordLm(LM, word_bonus=1.0),
)


@torch.no_grad()
@given(
    seed=st.integers(0, 500),
    frames=st.integers(1, 3),
    length_penalty=st.sampled_from([-1.0, 0.0, 2.0]),
    texts=fused_texts(with_end=True),
)
@settings(max_examples=60, deadline=None)
def test_a_wide_attention_beam_finds_the_best_hypothesis(
    seed: int, frames: int, length_penalty: float, texts: FusedTexts
) -> None:
    model = make_model(seed=seed)
    memory = torch.randn(frames, 8)
    words = [token for token in range(5) if token != model.eos_id]
    scores = {}
    for length in range(frames + 1):
        for tokens in itertools.product(words, repeat=length):
            score = attention_score(model, memory, tokens, ended=length < frames) + texts.earned(tokens)
            scores[tokens] = score / max(length, 1) ** length_penalty
    if length_penalty > 0:
        del scores[()]
    best = max(scores, key=scores.__getitem__)
    # The beam is at most the vocabulary: wide enough for sequences this short to lose nothing that matters.
    found = AttentionBeamSearch(model, 5, length_penalty, texts.fusion)(memory[None], torch.tensor([frames]))[0]
    for hyp in found:
        earned = texts.earned(hyp.tokens) / max(len(hyp.tokens), 1) ** length_penalty
        assert hyp.extra == pytest.approx(earned, abs=1e-4)
        assert hyp.score == pytest.approx(scores[hyp.tokens], abs=1e-4)
    if frames == 1:
        assert found[0].tokens == best
    assert found[0].score <= scores[best] + 1e-4


@torch.no_grad()
def test_words_that_earn_when_they_end_are_waited_for() -> None:
    model = make_model(vocab=12)
    args = torch.randn(1, 8, 8), torch.tensor([8])
    bonus = Fusion(LETTERS, word_lm=WordLm(LM, weight=0.0, word_bonus=2.0))
    (plain,), (rewarded, *_) = (AttentionBeamSearch(model, 6, 0.0, fusion)(*args)[0] for fusion in (NO_FUSION, bonus))
    assert plain.tokens == ()
    assert rewarded.extra == 2.0 * len(rewarded.tokens) > 0


@torch.no_grad()
def test_token_by_token_equals_the_whole_prefix() -> None:
    model = make_model(vocab=9)
    memory, lens = torch.randn(2, 6, 8), torch.tensor([6, 3])
    prefixes = torch.full((2, 3, 1), model.sos_id)
    cache = model.decoder.start(memory, lens, 3)
    for position in range(40):
        if position == 30:
            cache.keep(torch.tensor([1]))
            memory, lens, prefixes = memory[1:], lens[1:], prefixes[1:]
        logits = model.decoder.step(prefixes[:, :, -1], cache)
        for i, length in enumerate(lens):
            args = memory[i].expand(3, -1, -1), length.expand(3), prefixes[i], torch.full((3,), position + 1)
            torch.testing.assert_close(logits[i], model.decoder(*args)[:, -1], rtol=0, atol=1e-5)
        chosen = torch.randint(3, (len(lens), 3))
        cache.select(chosen)
        history = prefixes.gather(1, chosen.unsqueeze(2).expand_as(prefixes))
        prefixes = torch.cat([history, torch.randint(3, 9, (len(lens), 3, 1))], dim=2)


def readings(words: tuple[int, ...]) -> st.SearchStrategy[list[list[tuple[int, ...]]]]:
    """N-best lists of utterances, of like beginnings and endings; some have doubles, empty ones, or nothing at all."""
    tokens = st.lists(st.sampled_from(words), max_size=6).map(tuple)
    return st.lists(st.lists(tokens, max_size=6), min_size=1, max_size=4)


@torch.no_grad()
@given(lists=readings((3, 4)), seed=st.integers(0, 100), reverse_weight=st.sampled_from([0.0, 0.4, 1.0]))
@settings(max_examples=25, deadline=None)
def test_rescoring_adds_the_attention_score_of_each_hypothesis(
    lists: list[list[tuple[int, ...]]], seed: int, reverse_weight: float
) -> None:
    model = make_model(seed=seed, r_num_blocks=1)
    lens = torch.randint(1, 8, (len(lists),))
    memories = torch.randn(len(lists), 7, 8)
    nbest = [[Hypothesis(tokens, -float(rank), (rank,)) for rank, tokens in enumerate(hyps)] for hyps in lists]
    rescored = AttentionRescoring(model, 0.3, reverse_weight)(memories, lens, nbest)
    for hyps, found, memory, length in zip(nbest, rescored, memories, lens):
        expected = []
        for hyp in hyps:
            left = attention_score(model, memory[:length], hyp.tokens)
            right = attention_score(model, memory[:length], hyp.tokens[::-1], decoder=model.right_decoder)
            score = (1 - reverse_weight) * left + reverse_weight * right + 0.3 * hyp.score
            expected.append(replace(hyp, score=pytest.approx(score, abs=1e-4)))
        assert sorted(found, key=lambda hyp: hyp.times) == expected
        assert [hyp.score for hyp in found] == sorted((hyp.score for hyp in found), reverse=True)


@torch.no_grad()
def test_many_large_trees_are_rescored_as_each_alone() -> None:
    model = make_model(vocab=40)
    nbest = [
        [Hypothesis(tuple(torch.randint(3, 40, (length,)).tolist()), -1.0) for _ in range(10)]
        for length in (100, 40, 120, 60, 80)
    ]
    lens, memories = torch.tensor([5, 9, 2, 7, 3]), torch.randn(5, 9, 8)
    rescoring = AttentionRescoring(model, 0.3)
    together = rescoring(memories, lens, nbest)
    for i in range(5):
        alone = rescoring(memories[i : i + 1, : lens[i]], lens[i : i + 1], nbest[i : i + 1])[0]
        assert [hyp.tokens for hyp in alone] == [hyp.tokens for hyp in together[i]]
        assert [hyp.score for hyp in alone] == pytest.approx([hyp.score for hyp in together[i]], abs=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("fusion", [NO_FUSION, FUSION], ids=["alone", "fusion"])
@pytest.mark.parametrize("mode", DECODING_MODES)
def test_alone_equals_in_a_batch(mode: DecodingMode, fusion: Fusion) -> None:
    model = make_model(vocab=12)
    lens = torch.tensor([6, 41, 23])
    encoder_out = torch.randn(3, 41, 8)
    decoder = Decoder(model, DecodingOptions(beam_size=4), fusion)
    together = decoder(encoder_out, lens, [mode])[mode]
    for i in range(3):
        alone = decoder(encoder_out[i : i + 1, : lens[i]], lens[i : i + 1], [mode])[mode][0]
        assert [hyp.tokens for hyp in alone] == [hyp.tokens for hyp in together[i]]
        assert [hyp.score for hyp in alone] == pytest.approx([hyp.score for hyp in together[i]], abs=1e-4)
        assert [hyp.extra for hyp in alone] == pytest.approx([hyp.extra for hyp in together[i]], abs=1e-4)
        assert any(hyp.extra for hyp in alone) == (fusion is FUSION and mode != "ctc_greedy_search")


def test_modes_asked_for_are_the_modes_answered() -> None:
    model = make_model()
    found = Decoder(model, DecodingOptions())(torch.randn(1, 5, 8), torch.tensor([5]), ["attention_rescoring"])
    assert set(found) == {"attention_rescoring"}


@pytest.mark.parametrize("mode", DECODING_MODES)
def test_output_that_is_no_number_gives_an_empty_hypothesis(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    found = Decoder(make_model(), DecodingOptions())(torch.full((1, 4, 8), torch.nan), torch.tensor([4]), [mode])
    assert [hyp.tokens for hyp in found[mode][0]] == [()]


@torch.no_grad()
def test_spans_are_of_the_posteriors_without_penalties_which_are_computed_once() -> None:
    model = make_model()
    encoder_out, lens = torch.randn(2, 9, 8), torch.tensor([9, 6])
    modes: tuple[DecodingMode, ...] = ("ctc_prefix_beam_search", "attention_rescoring")
    with mock.patch.object(model, "ctc_log_probs", wraps=model.ctc_log_probs) as ctc_log_probs:
        found = Decoder(model, DecodingOptions(blank_penalty=2.0), aligns=True)(encoder_out, lens, modes)
    assert ctc_log_probs.call_count == 1
    for nbests in found.values():
        tokens = [nbest[0].tokens for nbest in nbests]
        alignments = CtcAligner(model.blank_id)(model.ctc_log_probs(encoder_out), lens, tokens)
        assert any(tokens) and [nbest[0] for nbest in nbests] == [
            with_spans(nbest[0], alignment) for nbest, alignment in zip(nbests, alignments)
        ]
