"""Alignments one utterance after the other, in the format of WeNet's `compute-wer.py --v=1`."""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter
from collections.abc import Iterator

from wenet_lite.data.kaldi import PathLike, write_lines
from wenet_lite.scoring.wer import ErrorCounts, PairKind, Scores, Utterance, counts_of_kinds, pair_kind

_RULE = "=" * 75

# a unit belongs to the script of its characters, marks inside it aside
_SCRIPTS = {
    "DIGIT": "Number",
    "CJK UNIFIED IDEOGRAPH": "Mandarin",
    "CJK COMPATIBILITY IDEOGRAPH": "Mandarin",
    "LATIN CAPITAL LETTER": "English",
    "LATIN SMALL LETTER": "English",
    "HIRAGANA LETTER": "Japanese",
}
_MARKS = frozenset("&'@℃=.-_#+;")


def write_details(scores: Scores, path: PathLike) -> None:
    """Write the alignment of every utterance, then the error rates overall and by script, by rename."""
    write_lines(path, (line.encode() for line in detail_lines(scores)))


def detail_lines(scores: Scores) -> Iterator[str]:
    """The lines of the file, without line feeds."""
    for utterance in scores.utterances:
        yield from _utterance_lines(utterance)
    yield from (_RULE, "", f"Overall -> {_rates(scores.counts)}")
    for name, counts in counts_by_script(scores).items():
        yield f"{name} -> {_rates(counts)}"
    yield from ("", _RULE)


def counts_by_script(scores: Scores) -> dict[str, ErrorCounts]:
    """English, Mandarin, Japanese, Number and Other -> errors on its units; an insertion counts where it belongs."""
    clusters: dict[str, Counter[PairKind]] = {}
    for utterance in scores.utterances:
        refs, hyps = zip(*utterance.pairs) if utterance.pairs else ((), ())
        for unit in filter(None, (*hyps, *refs)):  # in the order in which WeNet meets them
            clusters.setdefault(script(unit), Counter())
        for ref, hyp in utterance.pairs:
            clusters[script(ref or hyp)][pair_kind(ref, hyp)] += 1
    return {name: counts_of_kinds(kinds) for name, kinds in clusters.items()}


@functools.cache
def script(unit: str) -> str:
    """The script that all characters of a unit share, or Other."""
    found = {_script_of_character(character) for character in unit if character not in _MARKS}
    return found.pop() if len(found) == 1 else "Other"


def _script_of_character(character: str) -> str:
    name = unicodedata.name(character, "")
    return next((label for prefix, label in _SCRIPTS.items() if name.startswith(prefix)), "Other")


def _utterance_lines(utterance: Utterance) -> Iterator[str]:
    yield from ("", f"utt: {utterance.key}", f"WER: {_rates(utterance.counts)}")
    if utterance.pairs:
        widths = [max(_width(ref), _width(hyp)) for ref, hyp in utterance.pairs]
        for label, side in (("lab", 0), ("rec", 1)):
            units = [pair[side] for pair in utterance.pairs]
            padded = (unit + " " * (width - _width(unit)) + " " for unit, width in zip(units, widths))
            yield f"{label}: {''.join(padded)}"
        yield ""


def _rates(counts: ErrorCounts) -> str:
    rate = counts.rate if counts.ref_words else 0.0  # WeNet's zero for what has no reference
    return f"{rate:4.2f} % N={counts.ref_words} C={counts.hits} S={counts.subs} D={counts.dels} I={counts.ins}"


def _width(text: str) -> int:
    """Columns on a terminal; East Asian characters take two."""
    return sum(1 + (unicodedata.east_asian_width(character) in "AFW") for character in text)
