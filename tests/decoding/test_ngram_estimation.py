"""Estimation: Kneser and Ney's formulas, probabilities that sum to 1, and KenLM's numbers."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.decoding.ngram import NgramLm
from wenet_lite.decoding.ngram_estimation import FALLBACK_DISCOUNTS, EstimationOptions, discounts, estimate_lm
from wenet_lite.errors import DataError

TEXT = ["THE CAT SAT", "THE CAT SAT ON THE MAT", "A DOG SAT ON THE CAT", "THE DOG RAN"]
SENTENCES = st.lists(st.lists(st.sampled_from("abcde"), max_size=8).map(" ".join), min_size=1, max_size=12)


def has_words(sentences: list[str]) -> bool:
    return any(sentences)


def log10_prob(lm: NgramLm, ngram: str) -> float:
    """Log10 p(last word | words before), from the empty context on."""
    state = np.array([0])
    for word in ngram.split():
        log_prob, state = lm.steps(state, np.array([lm.words[word]]))
    return float(log_prob[0]) / math.log(10)


def kneser_ney(sentences: list[str], order: int, history: tuple[str, ...], word: str) -> float:
    """p(word | history) by the formulas, n-gram by n-gram."""
    raw: Counter[tuple[str, ...]] = Counter()
    before: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for sentence in sentences:
        words = ("<s>", *sentence.split(), "</s>")
        for length in range(1, order + 1):
            for start in range(len(words) - length + 1):
                raw[words[start : start + length]] += 1
                if start and length < order:
                    before[words[start : start + length]].add(words[start - 1])
    count = lambda ngram: len(before[ngram]) if len(ngram) < order and ngram[0] != "<s>" else raw[ngram]
    vocabulary = {ngram[0] for ngram in raw if len(ngram) == 1} | {"<unk>"}

    def prob(history: tuple[str, ...]) -> float:
        shorter = prob(history[1:]) if history else 1 / (len(vocabulary) - 1)
        counts = {w: 0 if (*history, w) == ("<s>",) else count((*history, w)) for w in vocabulary}
        if not any(counts.values()):
            return shorter
        same_order = [ngram for ngram in raw if len(ngram) == len(history) + 1 and ngram != ("<s>",)]
        d = (0.0, *discounts(np.array([count(ngram) for ngram in same_order])))
        freed = sum(d[min(c, 3)] for c in counts.values())
        own = counts.get(word, 0)
        return (own - d[min(own, 3)] + freed * shorter) / sum(counts.values())

    return prob(history)


@given(sentences=SENTENCES.filter(has_words), order=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_probabilities_are_those_of_the_formulas(sentences: list[str], order: int) -> None:
    lm = estimate_lm(sentences, EstimationOptions(order))
    for sentence in sentences:
        state, history = np.array([lm.start]), ("<s>",)
        for word in [*sentence.split(), "</s>"]:
            context = history[-(order - 1) :] if order > 1 else ()
            log_prob, state = lm.steps(state, np.array([lm.words[word]]))
            assert np.exp(log_prob) == pytest.approx(kneser_ney(sentences, lm.order, context, word), rel=1e-4)
            history += (word,)


@given(
    sentences=SENTENCES.filter(has_words),
    order=st.integers(1, 4),
    thresholds=st.lists(st.integers(0, 3), max_size=3),
    vocab_size=st.none() | st.integers(1, 5),
    min_count=st.integers(0, 4),
)
@settings(max_examples=60, deadline=None)
def test_probabilities_sum_to_1_in_every_context(
    sentences: list[str], order: int, thresholds: list[int], vocab_size: int | None, min_count: int
) -> None:
    prune = (0, *sorted(thresholds))[:order]
    lm = estimate_lm(sentences, EstimationOptions(order, prune, vocab_size, min_count))
    predicted = np.array([index for word, index in lm.words.items() if word != "<s>"])
    for state in range(lm.num_states):
        log_probs, _ = lm.steps(np.full(len(predicted), state), predicted)
        assert np.exp(log_probs).sum() == pytest.approx(1.0, abs=1e-5)


def test_numbers_are_those_of_lmplz() -> None:
    """`lmplz -o 3 --discount_fallback` of KenLM 4cb443e wrote these."""
    lm = estimate_lm(TEXT, EstimationOptions(3))
    assert lm.num_ngrams == (11, 15, 15)
    expected = {
        "<unk>": -1.3309932,
        "</s>": -0.6709413,
        "THE": -0.94564235,
        "CAT </s>": -0.54515517,
        "THE MAT": -0.9586073,
        "<s> A": -0.8616973,
        "THE CAT SAT": -0.3581955,
        "<s> THE DOG": -0.63533175,
        "DOG RAN </s>": -0.1518109,
    }
    assert {ngram: log10_prob(lm, ngram) for ngram in expected} == pytest.approx(expected, abs=1e-5)
    weights = {word: float(lm.backoffs[lm.words[word] + 1]) / math.log(10) for word in ("<s>", "THE", "SAT")}
    assert weights == pytest.approx({"<s>": -0.028028725, "THE": -0.22639638, "SAT": -0.2662679}, abs=1e-5)


def test_discounts_come_from_counts_of_counts() -> None:
    assert discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4, 9])) == pytest.approx((0.5, 1.25, 1.0))
    assert discounts(np.array([1, 1, 3])) == FALLBACK_DISCOUNTS
    assert discounts(np.array([1, 2, 3, 3, 3])) == FALLBACK_DISCOUNTS  # D2 would be below 0


def test_rare_words_and_ngrams_are_left_out() -> None:
    small = estimate_lm(TEXT, EstimationOptions(2, vocab_size=2))
    assert set(small.words) == {"<s>", "</s>", "<unk>", "THE", "CAT"}  # as frequent as SAT, but first
    assert set(estimate_lm(TEXT, EstimationOptions(2, min_count=3)).words) == {*small.words, "SAT"}
    assert log10_prob(small, "<unk>") > log10_prob(estimate_lm(TEXT, EstimationOptions(2)), "<unk>")
    assert estimate_lm(TEXT, EstimationOptions(3, prune=(0, 1, 2))).num_ngrams == (11, 5, 0)


def test_a_text_without_long_sentences_has_lower_orders() -> None:
    assert estimate_lm(["a"], EstimationOptions(5)).order == 3


@pytest.mark.parametrize("values", [{"order": 0}, {"prune": (1,)}, {"prune": (0, 2, 1)}, {"vocab_size": 0}])
def test_impossible_options_are_refused(values: dict) -> None:
    with pytest.raises(ValueError, match="must"):
        EstimationOptions(**values)


def test_text_that_cannot_be_counted_is_refused() -> None:
    with pytest.raises(DataError, match="no text"):
        estimate_lm(["", " "], EstimationOptions(2))
    with pytest.raises(DataError, match="sentence 2 has the word <s> or </s>"):
        estimate_lm(["a", "<s> a </s>"], EstimationOptions(2))
