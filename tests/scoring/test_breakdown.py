"""Speakers and words: every error of the set is somewhere in its tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from transcripts import scores_of, write

from wenet_lite.errors import DataError
from wenet_lite.scoring.breakdown import frequent_errors, read_speakers, scores_by_speaker
from wenet_lite.scoring.wer import ErrorCounts

SCORES = scores_of(("a b", "a x"), ("c d", "c d"), ("a b e", "a x"), ("f", "f g"), ("", "g"))


def test_speakers_are_ranked_and_add_up() -> None:
    ranked = scores_by_speaker(SCORES, {"u0": "ann", "u1": "bob", "u2": "ann", "u3": "bob", "u4": "cy"})
    assert [(s.speaker, s.utterances, s.wrong) for s in ranked] == [("cy", 1, 1), ("ann", 2, 2), ("bob", 2, 1)]
    assert ranked[1].counts == ErrorCounts(ref_words=5, hits=2, dels=1, subs=2)
    assert sum((s.counts for s in ranked), ErrorCounts()) == SCORES.counts
    assert ranked[1].row() == ("ann", "60.00", "5", "0", "1", "2", "2", "2")


def test_errors_are_counted_by_word() -> None:
    found = frequent_errors(SCORES, limit=9)
    assert found.substitutions == ((("b", "x"), 2),)
    assert found.insertions == (("g", 2),)
    assert found.deletions == (("e", 1),)


def test_the_most_frequent_come_first_and_equal_ones_in_order() -> None:
    scores = scores_of(("a b c d a", ""), ("c", ""))
    assert frequent_errors(scores, limit=3).deletions == (("a", 2), ("c", 2), ("b", 1))
    assert frequent_errors(scores, limit=1).deletions == (("a", 2),)


def test_an_utterance_without_a_speaker_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "utt2spk", ["u0 ann", "u1 bob", "u2", "u3 bob", "extra bob"])
    with pytest.raises(DataError, match="utt2spk: has no speaker for 2 of 5 utterances: u2, u4"):
        read_speakers(path, SCORES)
