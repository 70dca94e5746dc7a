"""Error rates: the fewest errors, Kaldi's three lines, and no utterance lost in silence."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import get_args

import jiwer
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from transcripts import scores_of, write

from wenet_lite.bin import command, score
from wenet_lite.errors import DataError
from wenet_lite.scoring.wer import ErrorCounts, Mode, align, score_files

SENTENCES = st.lists(st.sampled_from(["a", "b", "c", "dd", "你"]), max_size=7)


def fewest_errors(ref: tuple[str, ...], hyp: tuple[str, ...]) -> int:
    """The Levenshtein distance by its definition."""

    @functools.cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + (ref[i - 1] != hyp[j - 1]))

    return distance(len(ref), len(hyp))


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=4))
def test_no_alignment_has_fewer_errors(pairs: list[tuple[list[str], list[str]]]) -> None:
    refs, hyps = [ref for ref, _ in pairs], [hyp for _, hyp in pairs]
    for utterance, ref, hyp in zip(align([str(i) for i in range(len(pairs))], refs, hyps), refs, hyps):
        counts = utterance.counts
        assert counts.errors == fewest_errors(tuple(ref), tuple(hyp))
        assert [word for word, _ in utterance.pairs if word] == ref
        assert [word for _, word in utterance.pairs if word] == hyp
        kinds = [((not a) and "ins") or ((not b) and "del") or ("hit" if a == b else "sub") for a, b in utterance.pairs]
        assert counts == ErrorCounts(len(ref), *(kinds.count(kind) for kind in ("hit", "ins", "del", "sub")))


def kaldis_lines(printed: str) -> str:
    """The first three lines."""
    return "".join(printed.splitlines(keepends=True)[:3])


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=4))
def test_rates_are_those_of_jiwer(pairs: list[tuple[list[str], list[str]]]) -> None:
    refs, hyps = ([" ".join(pair[side]) for pair in pairs] for side in (0, 1))
    assume(any(refs))
    assert scores_of(*zip(refs, hyps)).counts.rate == pytest.approx(100 * jiwer.wer(refs, hyps))
    refs, hyps = ([text.replace(" ", "") for text in texts] for texts in (refs, hyps))
    characters = scores_of(*((" ".join(ref), " ".join(hyp)) for ref, hyp in zip(refs, hyps)))
    assert characters.counts.rate == pytest.approx(100 * jiwer.cer(refs, hyps))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Four references; hypotheses with one insertion, one substitution, an empty line, and one missing."""
    ref = write(tmp_path / "ref", ["a one two three", "b four five", "c six seven eight nine", "d ten eleven"])
    hyp = write(tmp_path / "hyp", ["a one two and three", "b four fife", "d"])
    return ref, hyp


STRICT = "%WER 72.73 [ 8 / 11, 1 ins, 6 del, 1 sub ] [PARTIAL]\n%SER 100.00 [ 4 / 4 ]\n"
PRESENT = "%WER 57.14 [ 4 / 7, 1 ins, 2 del, 1 sub ] [PARTIAL]\n%SER 100.00 [ 3 / 3 ]\n"


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        ([], 1, STRICT + "Scored 4 sentences, 1 not present in hyp.\n"),
        (["--mode", "strict"], 1, STRICT + "Scored 4 sentences, 1 not present in hyp.\n"),
        (["--mode", "all"], 0, STRICT + "Scored 4 sentences, 1 not present in hyp.\n"),
        (["--mode", "present"], 0, PRESENT + "Scored 3 sentences, 1 not present in hyp.\n"),
    ],
)
def test_a_missing_hypothesis_is_deletions_and_an_error_unless_asked_otherwise(
    files: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    expected: str,
) -> None:
    ref, hyp = files
    assert command.run(score.main, ["--ref", str(ref), "--hyp", str(hyp), *arguments]) == status
    captured = capsys.readouterr()
    assert kaldis_lines(captured.out) == expected
    if status:
        assert captured.err.startswith(f"score: {hyp}: has no hypothesis for 1 utterances of {ref}: c (")
        assert captured.err.count("\n") == 1
    else:
        assert captured.err == ""


def test_a_complete_set_is_scored_in_kaldis_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ref = write(tmp_path / "ref", [f"utt{i:02d} " + "word " * 20 for i in range(10)])
    hyp = write(tmp_path / "hyp", [f"utt{i:02d} " + "word " * (18 if i == 3 else 20) for i in range(10)])
    assert command.run(score.main, ["--ref", str(ref), "--hyp", str(hyp)]) == 0
    assert kaldis_lines(capsys.readouterr().out) == (
        "%WER 1.00 [ 2 / 200, 0 ins, 2 del, 0 sub ]\n"
        "%SER 10.00 [ 1 / 10 ]\n"
        "Scored 10 sentences, 0 not present in hyp.\n"
    )


@pytest.mark.parametrize("mode", get_args(Mode))
def test_hypotheses_of_unknown_utterances_are_named(files: tuple[Path, Path], mode: Mode) -> None:
    ref, hyp = files
    write(hyp, ["a one", "zoe x", "zed y"])
    with pytest.raises(DataError, match=r"hyp: 2 of 3 ids are not in .*ref: zoe, zed \("):
        score_files(ref, hyp, mode)


@pytest.mark.parametrize("broken", [0, 1])
def test_an_id_twice_is_an_error_with_its_line(files: tuple[Path, Path], broken: int) -> None:
    write(files[broken], ["a one two", "b four", "a one two"])
    with pytest.raises(DataError, match=f"{files[broken]}:3: has the key 'a' a second time"):
        score_files(*files)


def test_an_empty_hypothesis_is_deletions_but_not_missing(tmp_path: Path) -> None:
    scores = score_files(write(tmp_path / "ref", ["a x y", "b z"]), write(tmp_path / "hyp", ["a", "b z"]))
    assert scores.counts == ErrorCounts(ref_words=3, hits=1, dels=2)
    assert scores.missing == () and scores.wrong_sentences == 1


def test_an_empty_reference_counts_insertions(tmp_path: Path) -> None:
    ref, hyp = write(tmp_path / "ref", ["a", "b z"]), write(tmp_path / "hyp", ["a x y", "b z"])
    assert str(score_files(ref, hyp)).startswith("%WER 200.00 [ 2 / 1, 2 ins, 0 del, 0 sub ]")
    assert str(score_files(write(ref, ["a"]), write(hyp, ["a"]))).startswith("%WER 0.00 [ 0 / 0,")
    assert str(score_files(write(ref, ["a"]), write(hyp, ["a x"]))).startswith("%WER inf [ 1 / 0,")


def test_nothing_to_score_is_an_error(tmp_path: Path) -> None:
    ref, hyp = write(tmp_path / "ref", ["a x"]), write(tmp_path / "hyp", [])
    assert score_files(ref, hyp, "all").counts == ErrorCounts(ref_words=1, dels=1)
    with pytest.raises(DataError, match="no hypothesis for any utterance"):
        score_files(ref, hyp, "present")
    with pytest.raises(DataError, match="has no reference"):
        score_files(hyp, hyp)


def test_the_unit_is_what_was_asked_for(tmp_path: Path) -> None:
    ref = write(tmp_path / "ref", ["a 你好 it's Привет", "b ab c"])
    hyp = write(tmp_path / "hyp", ["a 你们 it's Привет", "b a bc"])
    assert score_files(ref, hyp).counts == ErrorCounts(ref_words=5, hits=2, subs=3)
    assert score_files(ref, hyp, unit="char").counts == ErrorCounts(ref_words=15, hits=14, subs=1)
