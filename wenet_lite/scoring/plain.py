"""An evaluation as lines for a terminal: Kaldi's three, the interval, and what else was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wenet_lite.data.describe_layout import printable
from wenet_lite.scoring.breakdown import (
    SPEAKER_COLUMNS,
    FrequentErrors,
    SpeakerScores,
    frequent_errors,
    scores_by_speaker,
)
from wenet_lite.scoring.evaluation import Evaluation


def evaluation_lines(evaluation: Evaluation, num_frequent: int) -> Iterator[str]:
    """The lines, without line feeds.

    Args:
        evaluation: what is told.
        num_frequent: how many of the most frequent errors of each kind are listed.
    """
    yield str(evaluation.scores)
    yield str(evaluation.interval)
    if evaluation.comparison:
        yield from (f"%WER {evaluation.comparison.second} of the second system", str(evaluation.comparison))
    if evaluation.hotwords:
        yield str(evaluation.hotwords)
    if evaluation.nbest:
        yield f"%WER {evaluation.nbest.oracle} of the best of each n-best list"
    if evaluation.utt2spk is not None:
        yield from ("", *_speaker_lines(scores_by_speaker(evaluation.scores, evaluation.utt2spk)))
    if num_frequent:
        yield from _frequent_lines(frequent_errors(evaluation.scores, num_frequent))


def _speaker_lines(speakers: Sequence[SpeakerScores]) -> Iterator[str]:
    rows = [SPEAKER_COLUMNS, *(speaker.row() for speaker in speakers)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for name, *figures in rows:
        padded = (figure.rjust(width) for figure, width in zip(figures, widths[1:]))
        yield "  ".join((printable(name).ljust(widths[0]), *padded))


def _frequent_lines(frequent: FrequentErrors) -> Iterator[str]:
    substitutions = [(f"{ref} -> {hyp}", times) for (ref, hyp), times in frequent.substitutions]
    for title, ranked in (
        ("substitutions", substitutions),
        ("insertions", frequent.insertions),
        ("deletions", frequent.deletions),
    ):
        yield from ("", title, *(f"{times:>7}  {printable(text)}" for text, times in ranked))
