"""Error rates on hotwords and on all other words: B-WER and U-WER."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wenet_lite.data.kaldi import PathLike, read_lines
from wenet_lite.errors import DataError
from wenet_lite.scoring.wer import ErrorCounts, PairKind, Scores, Unit, counts_of_kinds, pair_kind, split_units
from wenet_lite.text.rules import TextRules

Phrase = tuple[str, ...]


@dataclass(frozen=True)
class BiasedScores:
    """Attributes:
    biased: errors on units of hotword phrases, the B-WER.
    unbiased: errors on all others, the U-WER.
    """

    biased: ErrorCounts
    unbiased: ErrorCounts

    def __str__(self) -> str:
        return f"%B-WER {self.biased}\n%U-WER {self.unbiased}"


def read_hotwords(path: PathLike, unit: Unit, rules: TextRules | None = None) -> list[Phrase]:
    """Read hotword phrases, one a line; empty lines are passed over, and so is what stands after a tab.

    Args:
        path: the file.
        unit: what a phrase is split into, as references are.
        rules: the model's text rules, applied as to references.
    Raises:
        DataError: if the file cannot be read, is not UTF-8 or holds no phrase.
    """
    phrases = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise DataError("is not UTF-8", path=path, line=number, cure="convert the file with iconv") from error
        text = text.partition("\t")[0]  # then comes the search's score
        phrases.append(tuple(split_units(rules(text) if rules else text, unit)))
    if not any(phrases):
        raise DataError("holds no hotword", path=path, cure="write one phrase a line")
    return [phrase for phrase in phrases if phrase]


def biased_scores(scores: Scores, phrases: Iterable[Phrase]) -> BiasedScores:
    """Part the errors of a set into those on hotwords and all others (Le et al., 2021, arXiv:2104.02194).

    A unit of a reference is biased where an occurrence of a whole phrase covers it: of the phrase NEW YORK, the NEW in
    "A NEW HAT" is not. An inserted unit has no place in the reference. The paper counts it as biased where it is on the
    list, whose entries are single words; here that is where it is a unit of some phrase. The two parts add up to all
    errors.
    """
    by_first: dict[str, set[Phrase]] = defaultdict(set)
    for phrase in phrases:
        by_first[phrase[0]].add(phrase)
    listed = {unit for same_first in by_first.values() for phrase in same_first for unit in phrase}
    parts: dict[bool, Counter[PairKind]] = {True: Counter(), False: Counter()}
    for utterance in scores.utterances:
        marks = iter(_marks([ref for ref, _ in utterance.pairs if ref], by_first))
        for ref, hyp in utterance.pairs:
            parts[next(marks) if ref else hyp in listed][pair_kind(ref, hyp)] += 1
    return BiasedScores(biased=counts_of_kinds(parts[True]), unbiased=counts_of_kinds(parts[False]))


def _marks(units: Sequence[str], by_first: Mapping[str, set[Phrase]]) -> list[bool]:
    """Of each unit, whether an occurrence of a phrase covers it."""
    marks = [False] * len(units)
    for start, unit in enumerate(units):
        for phrase in by_first.get(unit, ()):
            if tuple(units[start : start + len(phrase)]) == phrase:
                marks[start : start + len(phrase)] = [True] * len(phrase)
    return marks
