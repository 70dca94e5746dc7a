"""N-best lists beside the scores: what the search found, and how good the best of it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from wenet_lite.data.kaldi import PathLike, read_lines
from wenet_lite.errors import DataError
from wenet_lite.scoring.wer import ErrorCounts, Scores, Unit, Utterance, align, split_units

SCHEMA = 1
"""Of `nbest.jsonl`."""


@dataclass(frozen=True)
class NbestHypothesis:
    """Attributes:
    text: what was recognised.
    score: the search's score, a log probability.
    """

    text: str
    score: float


@dataclass(frozen=True)
class ScoredNbest:
    """Attributes:
    hyps: of each utterance its hypotheses, in the order of the search.
    errors: of each utterance the errors of each of them.
    oracle: errors of the set where each utterance gets its best hypothesis, a hypothesis that was scored among them.
    """

    hyps: dict[str, tuple[NbestHypothesis, ...]]
    errors: dict[str, tuple[int, ...]]
    oracle: ErrorCounts


def read_nbest(path: PathLike) -> dict[str, tuple[NbestHypothesis, ...]]:
    """Read the `nbest.jsonl` of a decode: hypotheses of each utterance, best first.

    Raises:
        DataError: if the file cannot be read, a line is malformed or without hypotheses, or an id comes twice.
    """
    nbest: dict[str, tuple[NbestHypothesis, ...]] = {}
    for number, line in enumerate(read_lines(path), 1):
        try:
            tree = json.loads(line)
            known = tree.get("schema", SCHEMA) == SCHEMA
            key, hyps = tree["key"], tuple(_hypothesis(entry) for entry in tree["nbest"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError("is not a line of an n-best list", path=path, line=number, cure="decode again") from error
        if not known or not isinstance(key, str):
            raise DataError(f"is not a line of schema {SCHEMA} with a key", path=path, line=number)
        if not hyps:
            raise DataError("has no hypotheses", path=path, line=number, cure="decode again")
        if key in nbest:
            raise DataError(f"has the key '{key}' a second time", path=path, line=number, cure="keep one of them")
        nbest[key] = hyps
    return nbest


def score_nbest(
    scores: Scores, nbest: dict[str, tuple[NbestHypothesis, ...]], unit: Unit, path: PathLike
) -> ScoredNbest:
    """Score every hypothesis of the scored utterances; one without an n-best list keeps its own.

    Args:
        scores: the aligned set.
        nbest: hypotheses of each utterance.
        unit: what was counted in `scores`.
        path: where `nbest` comes from, for messages.
    Raises:
        DataError: if no scored utterance has an n-best list.
    """
    refs = {utterance.key: [ref for ref, _ in utterance.pairs if ref] for utterance in scores.utterances}
    listed = [(key, hyp) for key in refs for hyp in nbest.get(key, ())]
    if not listed:
        raise DataError("has no hypothesis of a scored utterance", path=path, cure="give that of the same decode")
    aligned = align(
        [key for key, _ in listed], [refs[key] for key, _ in listed], [split_units(hyp.text, unit) for _, hyp in listed]
    )
    candidates: dict[str, list[Utterance]] = {}
    for each in aligned:
        candidates.setdefault(each.key, []).append(each)
    best = [
        min((utterance, *candidates.get(utterance.key, ())), key=lambda each: each.counts.errors).counts
        for utterance in scores.utterances
    ]
    return ScoredNbest(
        hyps={key: nbest[key] for key in candidates},
        errors={key: tuple(each.counts.errors for each in found) for key, found in candidates.items()},
        oracle=sum(best, ErrorCounts()),
    )


def _hypothesis(entry: dict[str, Any]) -> NbestHypothesis:
    if not isinstance(entry["text"], str):
        raise TypeError
    return NbestHypothesis(entry["text"], float(entry["score"]))
