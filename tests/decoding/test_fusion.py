"""Hotwords and language models in prefix beam search: what whole texts score by definition is the oracle."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.decoding.ctc_prefix_beam import CtcPrefixBeamSearch
from wenet_lite.decoding.fusion import Fusion, WordLm
from wenet_lite.decoding.fusion_kernel import hotword_end, hotword_gain, hotword_next
from wenet_lite.decoding.hotwords import Hotword
from wenet_lite.decoding.ngram_estimation import EstimationOptions, estimate_lm

PIECES = ("<blank>", "\u2581A", "\u2581B", "C")
CHARACTERS = ("<blank>", "A", "B", "\u2581")
IDEOGRAPHS = ("<blank>", "\u4e00", "\u4e01", "\u4e03")
LM = estimate_lm(["A B", "AC A", "B B AC", "C A", "A", "一 丁 一"], EstimationOptions(order=3))
both_forms = pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "tensors"])


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


def begins_word(units: tuple[str, ...], tokens: tuple[int, ...], i: int) -> bool:
    """Whether a word begins at token i of a text, or the text has ended there."""
    return i == len(tokens) or not any("\u2581" in unit for unit in units) or units[tokens[i]].startswith("\u2581")


def hotword_score(units: tuple[str, ...], tokens: tuple[int, ...], hotwords: list[Hotword]) -> float:
    """Each whole occurrence of each phrase earns its score."""
    total = 0.0
    if "\u2581" in units:  # the beginning of a text begins a word
        tokens = (units.index("\u2581"), *tokens)
    best = sorted(hotwords, key=lambda hotword: hotword.score)  # of doubles the last one stays
    for hotword in {hotword.tokens: hotword for hotword in best}.values():
        for start in range(len(tokens)):
            end = start + len(hotword.tokens)
            if tokens[start:end] == hotword.tokens and begins_word(units, tokens, end):
                total += len(hotword.tokens) * hotword.score
    return total


def lm_score(units: tuple[str, ...], tokens: tuple[int, ...], word_lm: WordLm) -> float:
    """The language model's score of the words that the tokens spell, and a bonus for each."""
    separator = "" if any("\u2581" in unit for unit in units) else " "
    words = separator.join(units[token] for token in tokens).replace("\u2581", " ").split()
    return word_lm.weight * float(word_lm.lm.score([" ".join(words)])[0]) + word_lm.word_bonus * len(words)


@both_forms
@given(
    units=st.sampled_from([PIECES, CHARACTERS, IDEOGRAPHS]),
    frames=st.integers(1, 5),
    phrases=st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=3), max_size=3),
    scores=st.tuples(*[st.sampled_from([0.5, 1.5, 4.0])] * 3),
    beam_size=st.sampled_from([3, 300]),
    with_lm=st.booleans(),
    bonus=st.floats(-1, 2),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_every_text_earns_what_it_should(
    compiled: bool,
    units: tuple[str, ...],
    frames: int,
    phrases: list[list[int]],
    scores: tuple[float, float, float],
    beam_size: int,
    with_lm: bool,
    bonus: float,
    seed: int,
) -> None:
    if units == PIECES:
        phrases = [[1 + phrase[0] % 2, *phrase[1:]] for phrase in phrases]  # a phrase begins a word
    elif units == CHARACTERS:
        phrases = [[3, *phrase] for phrase in phrases]
    hotwords = [Hotword("", tuple(phrase), score) for phrase, score in zip(phrases, scores)]
    word_lm = WordLm(LM, weight=0.7, word_bonus=bonus) if with_lm else None
    log_probs = random_log_probs(frames, seed)
    fusion = Fusion(units, hotwords, word_lm)
    (found,) = CtcPrefixBeamSearch(beam_size, 0, compiled=compiled)(log_probs[None], torch.tensor([frames]), fusion)
    expected = ctc_scores(log_probs)
    if beam_size > 3:
        assert {hyp.tokens for hyp in found} == expected.keys()
    for hyp in found:
        extra = hotword_score(units, hyp.tokens, hotwords)
        extra += lm_score(units, hyp.tokens, word_lm) if word_lm else 0.0
        assert hyp.extra == pytest.approx(extra, abs=1e-4)
        if beam_size > 3:
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
    tables, state, found = fusion.tables, 0, []
    for token in tokens:
        following = hotword_next(tables.nodes, tables.begins, state, token)
        starts_word = tables.units["starts_word"][token]
        found.append(hotword_gain(tables.nodes, tables.at_boundary, starts_word, state, following))
        state = following
    return [*found, hotword_end(tables.nodes, tables.at_boundary, state)]


def test_hotwords_earn_what_wenets_do(golden: Path) -> None:
    _, of_context, fusion = wenet_fusion(golden)
    expected = [gain for _, gain, _ in of_context["trace"]]
    assert gains(fusion, [token for token, *_ in of_context["trace"]]) == [*expected, of_context["finalize"]]


@both_forms
def test_hotwords_lead_where_wenets_do(golden: Path, compiled: bool) -> None:
    reference, of_context, fusion = wenet_fusion(golden)
    search = CtcPrefixBeamSearch(10, 0, compiled=compiled)
    results = search(reference["ctc_logprobs_full"], reference["encoder_lens"], fusion)
    for found, wanted in zip(results, of_context["result"]):
        assert found[0].tokens == tuple(wanted["tokens"])
        scores = dict(zip(map(tuple, wanted["nbest"]), wanted["nbest_scores"]))
        assert {hyp.tokens for hyp in found} == scores.keys()
        for (
            hyp
        ) in found:  # in the end WeNet keeps of the hotwords' score only what the phrase under way has to give back
            expected = scores[hyp.tokens] - gains(fusion, hyp.tokens)[-1]
            assert hyp.score - hyp.extra == pytest.approx(expected, abs=1e-4)


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


@given(
    units=st.sampled_from([PIECES, CHARACTERS, IDEOGRAPHS]),
    phrases=st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=4), max_size=4),
    scores=st.tuples(*[st.sampled_from([0.5, 1.5, 4.0])] * 4),
    with_lm=st.booleans(),
    beam_size=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_both_forms_are_the_same_search(
    units: tuple[str, ...],
    phrases: list[list[int]],
    scores: tuple[float, ...],
    with_lm: bool,
    beam_size: int,
    seed: int,
) -> None:
    """The compiled one leaves out what cannot reach the beam: hotwords of different scores overlap here."""
    hotwords = [Hotword("", tuple(phrase), score) for phrase, score in zip(phrases, scores)]
    fusion = Fusion(units, hotwords, WordLm(LM, 0.7, 1.0) if with_lm else None)
    log_probs, lens = random_log_probs(24, seed).view(2, 12, 4), torch.tensor([12, 7])
    searches = (CtcPrefixBeamSearch(beam_size, 0, compiled=compiled) for compiled in (True, False))
    for compiled, in_tensors in zip(*(search(log_probs, lens, fusion) for search in searches)):
        assert [(hyp.tokens, hyp.times) for hyp in compiled] == [(hyp.tokens, hyp.times) for hyp in in_tensors]
        assert [hyp.score for hyp in compiled] == pytest.approx([hyp.score for hyp in in_tensors], abs=1e-4)
