"""Rescoring of n-best lists, its weights, and whether a language model knows the recogniser's words."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenet_lite.decoding.lm_coverage import check_coverage
from wenet_lite.decoding.lm_rescoring import Nbest, read_nbest, rescore
from wenet_lite.decoding.lm_tuning import RescoringWeights, tune_weights
from wenet_lite.decoding.weight_files import LmWeights
from wenet_lite.errors import ConfigError, DataError
from wenet_lite.scoring.wer import align


class TableLm:
    """A model that has a log probability for each text."""

    def __init__(self, log_probs: dict[str, float]) -> None:
        self.log_probs = log_probs

    def score(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([self.log_probs[text] for text in texts])


LM = TableLm({"a cat": -4.0, "a hat": -5.0, "a": -1.0, "the dog": -3.0, "the dock": -9.0, "": -2.0})
NBESTS = [
    Nbest("one", ("a hat", "a cat", "a"), (-1.0, -1.5, -3.0)),
    Nbest("two", ("the dock", "the dog"), (-2.0, -2.5)),
    Nbest("three", ("",), (0.0,)),
]
REFS = {"one": "a cat", "two": "the dog", "three": "a"}


def word_errors(nbests: Sequence[Nbest]) -> int:
    rows = [(nbest.key, REFS[nbest.key].split(), nbest.texts[0].split()) for nbest in nbests]
    return sum(utterance.counts.errors for utterance in align(*zip(*rows)))


def test_a_reading_is_chosen_by_all_three_scores() -> None:
    one, two, three = rescore(NBESTS, LM, LmWeights(lm_weight=1.0, word_bonus=3.0))
    assert one == Nbest("one", ("a cat", "a hat", "a"), (0.5, 0.0, -1.0))
    assert (two.texts[0], three) == ("the dog", Nbest("three", ("",), (-2.0,)))
    assert rescore(NBESTS, LM, LmWeights(1.0, 0.0))[0].texts[0] == "a"
    assert rescore(NBESTS, LM, LmWeights(0.0, 0.0)) == NBESTS


@given(
    lm_weights=st.lists(st.floats(0, 3), min_size=1, max_size=3),
    bonuses=st.lists(st.floats(-2, 6), min_size=1, max_size=3),
)
def test_no_weights_of_the_grid_have_fewer_errors(lm_weights: list[float], bonuses: list[float]) -> None:
    tuned = tune_weights(NBESTS, REFS, LM, lm_weights, bonuses)
    errors = {
        (weight, bonus): word_errors(rescore(NBESTS, LM, LmWeights(weight, bonus)))
        for weight in lm_weights
        for bonus in bonuses
    }
    assert errors[tuned.lm_weight, tuned.word_bonus] == min(errors.values())
    assert tuned.wer == pytest.approx(100 * min(errors.values()) / 5)
    assert tuned.wer_without == pytest.approx(60.0) and tuned.best_wer == pytest.approx(20.0)


def test_of_weights_as_good_the_smallest_are_taken() -> None:
    tuned = tune_weights(NBESTS, REFS, LM, (1.0, 0.6, 0.8), (2.0, -2.0, 3.0))
    assert (tuned.lm_weight, tuned.word_bonus) == (0.6, 2.0)


def test_weights_are_written_and_read_back(tmp_path: Path) -> None:
    tuned = tune_weights(NBESTS, REFS, LM)
    tuned.write(tmp_path / "weights.json")
    assert RescoringWeights.read(tmp_path / "weights.json") == tuned
    for text, error, message in [
        ("{", DataError, "is not JSON"),
        ("[]", DataError, "has no weights of schema 1"),
        ('{"schema": 1, "wer": 1.0}', ConfigError, "'lm_weight' is missing"),
    ]:
        (tmp_path / "weights.json").write_text(text)
        with pytest.raises(error, match=rf"weights.json: .*{message}"):
            RescoringWeights.read(tmp_path / "weights.json")


def test_tuning_without_references_is_refused() -> None:
    with pytest.raises(DataError, match="1 utterances have no reference: three"):
        tune_weights(NBESTS, {"one": "a", "two": "b"}, LM)
    with pytest.raises(DataError, match="no n-best lists"):
        tune_weights([], REFS, LM)


def test_lists_are_read_as_recognition_writes_them(tmp_path: Path) -> None:
    lines = [{"schema": 1, "key": "u", "nbest": [{"text": "A B", "score": -1.5, "times": [1, 2]}]}]
    (tmp_path / "nbest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_nbest(tmp_path / "nbest.jsonl") == [Nbest("u", ("A B",), (-1.5,))]
    with open(tmp_path / "nbest.jsonl", "a") as stream:
        stream.write('{"key": "v", "nbest": []}\n')
    with pytest.raises(DataError, match=r"nbest.jsonl:2: has no hypotheses"):
        read_nbest(tmp_path / "nbest.jsonl")


VOCABULARY = {"<s>", "</s>", "<unk>", "the", "cat", "sat", "on", "mat"}


@pytest.mark.parametrize(
    ("vocabulary", "text", "cure"),
    [
        (VOCABULARY, "the cat sat on the zebra", None),
        (VOCABULARY, "THE CAT SAT ON A MAT", "its words are in lower case: .* by train_lm --rules"),
        ({word.upper() for word in VOCABULARY}, "the cat sat", "its words are in upper case"),
        ({"<s>", "</s>", "<unk>", "今", "天", "好", "我"}, "今天 我 好", "its words are single characters"),
        (VOCABULARY, "der hund sitzt", "text of the same kind"),
        (VOCABULARY, "", None),
    ],
)
def test_units_that_do_not_fit_are_told_with_the_cure(vocabulary: set[str], text: str, cure: str | None) -> None:
    coverage = check_coverage(vocabulary, [text])
    assert coverage.num_unknown == sum(word not in vocabulary for word in text.split())
    assert coverage.cure is None if cure is None else re.search(cure, coverage.cure or "")


def test_the_most_frequent_unknown_words_are_named() -> None:
    coverage = check_coverage(VOCABULARY, ["the zebra", "the owl", "the zebra sat on the cat"])
    assert coverage.unknown_share == pytest.approx(0.3)
    assert str(coverage).startswith("the language model lacks 30.0 % of the words, such as zebra, owl (")
