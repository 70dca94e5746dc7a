"""Hotwords and language models in prefix beam search: what whole texts score by definition is the oracle."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from fusion_oracles import FusedTexts, fused_texts
from hypothesis import given, settings
from hypothesis import strategies as st
from prefix_beam_forms import both_forms, needs_numba

from wenet_lite.decoding.ctc_prefix_beam import CtcPrefixBeamSearch
from wenet_lite.decoding.fusion import Fusion
from wenet_lite.decoding.hotwords import Hotword


def random_log_probs(frames: int, seed: int) -> torch.Tensor:
    return (torch.randn(frames, 4, generator=torch.Generator().manual_seed(seed)) * 2).log_softmax(-1)


def ctc_scores(log_probs: torch.Tensor) -> dict[tuple[int, ...], float]:
    """log p(prefix | x) of every prefix."""
    totals: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(4), repeat=len(log_probs)):
        prefix = tuple(token for token, _ in itertools.groupby(path) if token)
        probability = math.exp(sum(float(log_probs[t, token]) for t, token in enumerate(path)))
        totals[prefix] = totals.get(prefix, 0.0) + probability
    return {prefix: math.log(total) for prefix, total in totals.items()}


@both_forms
@given(texts=fused_texts(), frames=st.integers(1, 5), seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_every_text_earns_what_it_should(compiled: bool, texts: FusedTexts, frames: int, seed: int) -> None:
    log_probs = random_log_probs(frames, seed)
    search = CtcPrefixBeamSearch(300, 0, compiled=compiled)
    (found,) = search(log_probs[None], torch.tensor([frames]), texts.fusion)
    expected = ctc_scores(log_probs)
    assert {hyp.tokens for hyp in found} == expected.keys()
    for hyp in found:
        extra = texts.earned(hyp.tokens)
        assert hyp.extra == pytest.approx(extra, abs=1e-4)
        assert hyp.score == pytest.approx(expected[hyp.tokens] + extra, abs=1e-4)
    assert [hyp.score for hyp in found] == sorted((hyp.score for hyp in found), reverse=True)


def wenet_fusion(folder: Path) -> tuple[dict[str, Any], dict[str, Any], Fusion]:
    """WeNet's results, those with hotwords among them, and the same hotwords."""
    reference = torch.load(folder / "u2pp" / "golden.pt", weights_only=True)
    of_context = reference["context"]
    units = [line.split()[0] for line in (folder / "u2pp" / "units.txt").read_text().splitlines()]
    phrases = of_context["phrases"]
    hotwords = [Hotword(text, tuple(map(units.index, text)), of_context["score"]) for text in phrases]
    return reference, of_context, Fusion(units, hotwords)


def gains(fusion: Fusion, tokens: Sequence[int]) -> list[float]:
    """What hotwords give and take with each token, and at the end."""
    from wenet_lite.decoding.prefix_beam_kernel import hotword_end, hotword_gain, hotword_next

    tables, state, found = fusion.tables, 0, []
    for token in tokens:
        following = hotword_next(tables.nodes, tables.begins, state, token)
        starts_word = tables.units["starts_word"][token]
        found.append(hotword_gain(tables.nodes, tables.at_boundary, starts_word, state, following))
        state = following
    return [*found, hotword_end(tables.nodes, tables.at_boundary, state)]


@needs_numba
def test_hotwords_earn_what_wenets_do(golden: Path) -> None:
    _, of_context, fusion = wenet_fusion(golden)
    expected = [gain for _, gain, _ in of_context["trace"]]
    assert gains(fusion, [token for token, *_ in of_context["trace"]]) == [*expected, of_context["finalize"]]


@needs_numba
@both_forms
def test_hotwords_lead_where_wenets_do(golden: Path, compiled: bool) -> None:
    reference, of_context, fusion = wenet_fusion(golden)
    search = CtcPrefixBeamSearch(10, 0, compiled=compiled)
    results = search(reference["ctc_logprobs_full"], reference["encoder_lens"], fusion)
    for found, wanted in zip(results, of_context["result"]):
        assert found[0].tokens == tuple(wanted["tokens"])
        scores = dict(zip(map(tuple, wanted["nbest"]), wanted["nbest_scores"]))
        assert {hyp.tokens for hyp in found} == scores.keys()
        # In the end WeNet keeps of the hotwords' score only what the phrase under way has to give back.
        for hyp in found:
            expected = scores[hyp.tokens] - gains(fusion, hyp.tokens)[-1]
            assert hyp.score - hyp.extra == pytest.approx(expected, abs=1e-4)


@needs_numba
def test_a_phrase_ends_with_its_word_and_may_begin_another() -> None:
    hotwords = [Hotword("NEW", (1,), 2.0), Hotword("NEW YORK", (1, 2), 2.0), Hotword("NEW", (1,), 2.0)]
    fusion = Fusion(("<blank>", "\u2581NEW", "\u2581YORK", "S"), hotwords)

    def earned(*tokens: int) -> float:
        return sum(gains(fusion, tokens))

    assert earned(1) == 2.0
    assert earned(1, 2) == 2.0 + 4.0
    assert earned(1, 3) == 0.0  # NEWS
    assert earned(1, 2, 3) == 2.0  # NEW YORKS
    assert earned(2, 1, 1, 2) == 2.0 + 2.0 + 4.0


@needs_numba
def test_a_phrase_of_ideographs_is_heard_in_the_middle_of_a_text() -> None:
    fusion = Fusion(("<blank>", "\u2581NEW", "我", "中", "国", "人", "S"), [Hotword("中国", (3, 4), 3.0)])

    def earned(*tokens: int) -> float:
        return sum(gains(fusion, tokens))

    assert earned(2, 3, 4, 5) == earned(3, 4) == earned(3, 4, 1) == 6.0
    assert earned(3, 5, 4) == 0.0


@needs_numba
@given(texts=fused_texts(), beam_size=st.integers(1, 6), seed=st.integers(0, 1000))
@settings(max_examples=80, deadline=None)
def test_both_forms_are_the_same_search(texts: FusedTexts, beam_size: int, seed: int) -> None:
    """The compiled one leaves out what cannot reach the beam: hotwords of different scores overlap here."""
    log_probs, lens = random_log_probs(24, seed).view(2, 12, 4), torch.tensor([12, 7])
    searches = (CtcPrefixBeamSearch(beam_size, 0, compiled=compiled) for compiled in (True, False))
    for compiled, in_tensors in zip(*(search(log_probs, lens, texts.fusion) for search in searches)):
        assert [(hyp.tokens, hyp.times) for hyp in compiled] == [(hyp.tokens, hyp.times) for hyp in in_tensors]
        assert [hyp.score for hyp in compiled] == pytest.approx([hyp.score for hyp in in_tensors], abs=1e-4)
