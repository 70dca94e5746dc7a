"""Word and character error rates, counted and told as Kaldi's compute-wer does."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any, Literal, get_args

import jiwer

from wenet_lite.data.kaldi import PathLike, read_table
from wenet_lite.errors import DataError
from wenet_lite.text.rules import TextRules

Mode = Literal["strict", "present", "all"]
Unit = Literal["word", "char"]
PairKind = Literal["hit", "ins", "del", "sub"]

_AS_GIVEN = jiwer.Compose([])


@dataclass(frozen=True)
class ErrorCounts:
    """Errors of an alignment with the fewest of them; where several have as few, jiwer chooses.

    Attributes:
        ref_words: units of the reference: hits, deletions and substitutions.
        hits: units that are right.
        ins, dels, subs: insertions, deletions and substitutions.
    """

    ref_words: int = 0
    hits: int = 0
    ins: int = 0
    dels: int = 0
    subs: int = 0

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(
            self.ref_words + other.ref_words,
            self.hits + other.hits,
            self.ins + other.ins,
            self.dels + other.dels,
            self.subs + other.subs,
        )

    @property
    def errors(self) -> int:
        """All errors together."""
        return self.ins + self.dels + self.subs

    @property
    def rate(self) -> float:
        """Errors in percent of the reference; infinite where words are inserted to an empty one."""
        return _percent(self.errors, self.ref_words)

    def __str__(self) -> str:
        """What Kaldi prints after `%WER `."""
        return f"{self.rate:.2f} [ {self.errors} / {self.ref_words}, {self.ins} ins, {self.dels} del, {self.subs} sub ]"


@dataclass(frozen=True)
class Utterance:
    """One aligned utterance.

    Attributes:
        key: utterance id.
        pairs: (reference unit, hypothesis unit) from left to right; "" where the other side has none.
        counts: its errors.
    """

    key: str
    pairs: tuple[tuple[str, str], ...]
    counts: ErrorCounts


@dataclass(frozen=True)
class Scores:
    """Hypotheses of a whole set against its references.

    Attributes:
        utterances: what was scored, in the order of the references.
        missing: references that have no hypothesis; mode `present` does not score them.
    """

    utterances: tuple[Utterance, ...]
    missing: tuple[str, ...]

    @cached_property
    def counts(self) -> ErrorCounts:
        """The errors of all utterances."""
        return sum((utterance.counts for utterance in self.utterances), ErrorCounts())

    @property
    def wrong_sentences(self) -> int:
        """Utterances with an error."""
        return sum(utterance.counts.errors > 0 for utterance in self.utterances)

    def __str__(self) -> str:
        """Kaldi's three lines."""
        sentences = len(self.utterances)
        partial = " [PARTIAL]" if self.missing else ""
        return (
            f"%WER {self.counts}{partial}\n"
            f"%SER {_percent(self.wrong_sentences, sentences):.2f} [ {self.wrong_sentences} / {sentences} ]\n"
            f"Scored {sentences} sentences, {len(self.missing)} not present in hyp."
        )


def score_files(
    ref_path: PathLike,
    hyp_path: PathLike,
    mode: Mode = "strict",
    unit: Unit = "word",
    rules: TextRules | None = None,
) -> Scores:
    """Score a file of hypotheses, `<id> <words>` a line, against a file of references.

    Hypotheses consist of the model's units, so text rules (case, apostrophes, removed characters) have shaped them
    already. References of a data directory are raw: without `rules` they are compared as they stand, and what the
    rules would change in them counts as errors.

    Args:
        ref_path: reference transcripts, Kaldi's `text`.
        hyp_path: hypotheses; an empty one keeps its line.
        mode: `strict` and `all` count the words of a missing hypothesis as deletions (for `strict` it is an
            error all the same, which is the caller's to raise); `present` leaves such utterances out.
        unit: what is counted: words, or characters without blanks.
        rules: the model's text rules, applied to the references.
    Raises:
        DataError: if a file is malformed or has an id twice, or hypotheses have ids that references lack.
    """
    refs, hyps = read_table(ref_path), read_table(hyp_path)
    if not refs:
        raise DataError("has no reference", path=ref_path)
    unknown = [key for key in hyps if key not in refs]
    if unknown:
        message = f"{len(unknown)} of {len(hyps)} ids are not in {ref_path}: {abridged(unknown)}"
        raise DataError(message, path=hyp_path, cure="score it against the text it was decoded from")
    missing = [key for key in refs if key not in hyps]
    if mode == "present" and len(missing) == len(refs):
        raise DataError(f"has no hypothesis for any utterance of {ref_path}", path=hyp_path)
    scored = [key for key in refs if mode != "present" or key in hyps]
    with _without_collector():
        ref_units = [split_units(rules(refs[key]) if rules else refs[key], unit) for key in scored]
        hyp_units = [split_units(hyps.get(key, ""), unit) for key in scored]
        return Scores(tuple(align(scored, ref_units, hyp_units)), tuple(missing))


def missing_error(scores: Scores, ref_path: PathLike, hyp_path: PathLike) -> DataError:
    """What mode `strict` raises where hypotheses are missing."""
    return DataError(
        f"has no hypothesis for {len(scores.missing)} utterances of {ref_path}: {abridged(scores.missing)}",
        path=hyp_path,
        cure="decode them, or count them as deletions with --mode all",
    )


def align(keys: Sequence[str], refs: Sequence[list[str]], hyps: Sequence[list[str]]) -> list[Utterance]:
    """Align units of references and hypotheses."""
    if not keys:
        return []
    sides: tuple[Any, Any] = (list(refs), list(hyps))  # jiwer's types know texts that it splits; these are split
    output = jiwer.process_words(sides[0], sides[1], reference_transform=_AS_GIVEN, hypothesis_transform=_AS_GIVEN)
    return [_utterance(*each) for each in zip(keys, refs, hyps, output.alignments)]


def pair_kind(ref: str, hyp: str) -> PairKind:
    """What an aligned pair of units is; "" where a side has none."""
    if not ref:
        return "ins"
    if not hyp:
        return "del"
    return "hit" if ref == hyp else "sub"


def counts_of_kinds(kinds: Mapping[PairKind, int]) -> ErrorCounts:
    """The counts of so many pairs of each kind."""
    hits, ins, dels, subs = (kinds.get(kind, 0) for kind in get_args(PairKind))
    return ErrorCounts(hits + dels + subs, hits, ins, dels, subs)


def abridged(keys: Sequence[str]) -> str:
    """The first few of a list of ids."""
    return ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "")


@contextmanager
def _without_collector() -> Iterator[None]:
    """Walking again and again over millions of words, none of them garbage, would take two thirds of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _utterance(key: str, ref: Sequence[str], hyp: Sequence[str], chunks: Sequence[jiwer.AlignmentChunk]) -> Utterance:
    pairs: list[tuple[str, str]] = []
    lengths = {"equal": 0, "insert": 0, "delete": 0, "substitute": 0}
    for chunk in chunks:
        aligned = list(
            zip_longest(
                ref[chunk.ref_start_idx : chunk.ref_end_idx], hyp[chunk.hyp_start_idx : chunk.hyp_end_idx], fillvalue=""
            )
        )
        lengths[chunk.type] += len(aligned)
        pairs += aligned
    counts = ErrorCounts(len(ref), lengths["equal"], lengths["insert"], lengths["delete"], lengths["substitute"])
    return Utterance(key, tuple(pairs), counts)


def split_units(text: str, unit: Unit) -> list[str]:
    """What is counted of a text: its words, or its characters without blanks."""
    words = text.split()
    return words if unit == "word" else list("".join(words))


def _percent(part: int, whole: int) -> float:
    if whole == 0:
        return float("inf") if part else 0.0
    return 100 * part / whole
