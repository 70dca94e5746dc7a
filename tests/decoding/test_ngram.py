"""N-gram models: the automaton gives what the definition of a back-off model says."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.decoding.ngram import NgramLm
from wenet_lite.decoding.ngram_arpa import read_arpa
from wenet_lite.decoding.ngram_tensors import NgramTensors

WORDS = ("</s>", "<s>", "<unk>", "a", "b", "c")
Model = dict[tuple[str, ...], tuple[float, float]]


def random_model(order: int, seed: int) -> Model:
    """N-grams, each of which has its context, with log10 probabilities and back-off weights."""
    draw = random.Random(seed)
    numbers = lambda: (round(-3 * draw.random(), 4), round(draw.random() - 0.7, 4))
    model: Model = {(word,): numbers() for word in WORDS}
    level = list(model)
    for _ in range(order - 1):
        level = [(*context, word) for context in level for word in WORDS if draw.random() < 0.4]
        model |= {ngram: numbers() for ngram in level}
    highest = max(map(len, model))
    return {ngram: (p, 0.0 if len(ngram) == highest else backoff) for ngram, (p, backoff) in model.items()}


def defined_log_prob(model: Model, context: tuple[str, ...], word: str) -> float:
    """Log10 p(word | context) by the definition of a back-off model."""
    if (*context, word) in model:
        return model[(*context, word)][0]
    backoff = model[context][1] if context in model else 0.0
    return backoff + defined_log_prob(model, context[1:], word)


def write_model(model: Model, path: Path) -> Path:
    orders = [[ngram for ngram in model if len(ngram) == order] for order in range(1, max(map(len, model)) + 1)]
    lines = ["\\data\\", *(f"ngram {order}={len(ngrams)}" for order, ngrams in enumerate(orders, 1))]
    for order, ngrams in enumerate(orders, 1):
        lines += ["", f"\\{order}-grams:"]
        lines += [f"{model[ngram][0]}\t{' '.join(ngram)}\t{model[ngram][1]}" for ngram in ngrams]
    path.write_text("\n".join([*lines, "", "\\end\\", ""]))
    return path


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> NgramLm:
    return read_arpa(write_model(random_model(3, seed=1), tmp_path_factory.mktemp("lm") / "lm.arpa"))


@given(order=st.integers(1, 4), seed=st.integers(0, 1000), text=st.lists(st.sampled_from("abcx"), max_size=8))
@settings(max_examples=60, deadline=None)
def test_every_step_is_what_the_definition_says(
    tmp_path_factory: pytest.TempPathFactory, order: int, seed: int, text: list[str]
) -> None:
    model = random_model(order, seed)
    lm = read_arpa(write_model(model, tmp_path_factory.mktemp("lm") / "lm.arpa"))
    history: tuple[str, ...] = ("<s>",)
    state, total = np.array([lm.start]), 0.0
    for word in [*("<unk>" if word == "x" else word for word in text), "</s>"]:
        context = history[-(lm.order - 1) :] if lm.order > 1 else ()
        expected = defined_log_prob(model, context, word) * math.log(10)
        log_prob, state = lm.steps(state, np.array([lm.index(word)]))
        assert log_prob == pytest.approx(expected, abs=1e-4)
        assert state < lm.num_states
        total += expected
        history += (word,)
    assert lm.score([" ".join(text)]) == pytest.approx([total], abs=1e-3)


def test_nodes_are_numbered_as_a_kernel_expects(lm: NgramLm) -> None:
    assert list(lm.words) == sorted(lm.words) and list(lm.words.values()) == list(range(lm.vocab_size))
    assert (np.diff(lm.keys) > 0).all()
    assert (lm.keys[: lm.vocab_size] == np.arange(lm.vocab_size)).all()
    parents = lm.keys // lm.vocab_size
    bounds = (0, *lm.order_starts)
    for shorter, start, end in zip(bounds, bounds[1:], bounds[2:]):
        assert (parents[start - 1 : end - 1] >= shorter).all() and (parents[start - 1 : end - 1] < start).all()
    assert len(lm.keys) + 1 == len(lm.log_probs) == len(lm.backoffs) == len(lm.suffixes) == lm.order_starts[-1]
    assert (lm.keys.dtype, lm.log_probs.dtype, lm.suffixes.dtype) == (np.int64, np.float32, np.int32)


def test_tensors_step_as_arrays_do(lm: NgramLm) -> None:
    states, words = (grid.ravel() for grid in np.meshgrid(np.arange(lm.num_states), np.arange(lm.vocab_size)))
    log_probs, following = lm.steps(states, words)
    tensors = NgramTensors.of(lm, "cpu").steps(torch.from_numpy(states), torch.from_numpy(words))
    assert (tensors[0].numpy() == log_probs).all() and (tensors[1].numpy() == following).all()


def test_perplexity_is_told_with_and_without_unknown_words(lm: NgramLm) -> None:
    texts = ["a b zebra c", "", "b b"]
    score = lm.evaluate(texts)
    assert (score.num_sentences, score.num_words, score.num_unknown) == (3, 6, 1)
    assert score.log_prob == pytest.approx(lm.score(texts).sum())
    assert score.perplexity == pytest.approx(math.exp(-score.log_prob / 9))
    state = np.array([lm.start])
    for word in ("a", "b", "<unk>"):
        log_prob, state = lm.steps(state, np.array([lm.words[word]]))
    assert score.unknown_log_prob == pytest.approx(log_prob[0], abs=1e-5)
    assert score.known_perplexity == pytest.approx(math.exp(-(score.log_prob - score.unknown_log_prob) / 8))
    assert score.oov_rate == pytest.approx(100 / 6)
    assert lm.score([]).shape == (0,) and math.isnan(lm.evaluate([]).perplexity)


def test_many_texts_score_as_each_alone(lm: NgramLm, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(random.Random(seed).choices("abcz", k=seed % 7)) for seed in range(20)]
    alone = [float(lm.score([text])[0]) for text in texts]
    monkeypatch.setattr("wenet_lite.decoding.ngram._TEXTS_AT_ONCE", 3)
    assert lm.score(texts).tolist() == pytest.approx(alone)
