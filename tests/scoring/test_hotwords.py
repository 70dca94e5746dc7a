"""Errors on hotwords and on other words add up to all errors, and each is where the paper puts it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transcripts import scores_of, write

from wenet_lite.errors import DataError
from wenet_lite.scoring.hotwords import BiasedScores, biased_scores, read_hotwords
from wenet_lite.scoring.wer import ErrorCounts
from wenet_lite.text.rules import TextRules

SENTENCES = st.lists(st.sampled_from("abcde"), max_size=8).map(" ".join)
PHRASES = [("NEW", "YORK"), ("YORK", "SHIRE"), ("KUBE",)]


def test_a_word_is_biased_where_a_whole_phrase_occurs() -> None:
    found = biased_scores(scores_of(("A NEW HAT FROM NEW YORK", "A NEXT HAT FROM NO")), PHRASES)
    assert found.unbiased == ErrorCounts(ref_words=4, hits=3, subs=1)
    assert found.biased == ErrorCounts(ref_words=2, dels=1, subs=1)


def test_phrases_that_overlap_cover_all_their_words() -> None:
    found = biased_scores(scores_of(("NEW YORK SHIRE", "NEW YORK SHIRE")), PHRASES)
    assert found.biased == ErrorCounts(ref_words=3, hits=3)


def test_an_inserted_word_is_biased_where_it_is_part_of_a_phrase() -> None:
    found = biased_scores(scores_of(("ONE TWO", "ONE YORK TWO THREE")), PHRASES)
    assert (found.biased, found.unbiased) == (ErrorCounts(ins=1), ErrorCounts(ref_words=2, hits=2, ins=1))
    assert str(found) == "%B-WER inf [ 1 / 0, 1 ins, 0 del, 0 sub ]\n%U-WER 50.00 [ 1 / 2, 1 ins, 0 del, 0 sub ]"


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=4), st.sets(st.sampled_from("abcde"), min_size=1))
def test_the_parts_add_up_and_single_words_are_counted_by_the_list(
    pairs: list[tuple[str, str]], listed: set[str]
) -> None:
    scores = scores_of(*pairs)
    found = biased_scores(scores, [(word,) for word in listed])
    assert found.biased + found.unbiased == scores.counts
    wrong = [ref or hyp for u in scores.utterances for ref, hyp in u.pairs if ref != hyp]
    assert found.biased.errors == sum(word in listed for word in wrong)
    assert found.biased.ref_words == sum(ref.split().count(word) for ref, _ in pairs for word in listed)


@given(
    st.tuples(SENTENCES, SENTENCES), st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=3), min_size=1)
)
def test_the_parts_add_up_for_phrases(pair: tuple[str, str], phrases: list[list[str]]) -> None:
    scores = scores_of(pair)
    found = biased_scores(scores, map(tuple, phrases))
    assert found.biased + found.unbiased == scores.counts
    words = pair[0].split()
    covered = {
        start + i
        for start in range(len(words))
        for phrase in phrases
        if words[start : start + len(phrase)] == phrase
        for i in range(len(phrase))
    }
    assert found.biased.ref_words == len(covered)


def test_phrases_go_through_the_text_rules(tmp_path: Path) -> None:
    path = write(tmp_path / "hotwords", ["New  York", "", "don’t"])
    assert read_hotwords(path, "word", TextRules()) == [("NEW", "YORK"), ("DON'T",)]
    assert read_hotwords(path, "char") == [tuple("NewYork"), tuple("don’t")]


def test_a_list_without_a_phrase_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no hotword"):
        read_hotwords(write(tmp_path / "hotwords", ["", " "]), "word")
    (tmp_path / "latin").write_bytes(b"ok\nsch\xf6n\n")
    with pytest.raises(DataError, match="latin:2: is not UTF-8"):
        read_hotwords(tmp_path / "latin", "word")


def test_nothing_listed_occurs() -> None:
    scores = scores_of(("a b", "a c"))
    assert biased_scores(scores, [("zoe",)]) == BiasedScores(ErrorCounts(), scores.counts)
