"""How well a calibration does on speakers that it was not fitted on."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wenet_lite.data.utterance import Utterance
from wenet_lite.decoding.calibration import Calibration, fit_calibration
from wenet_lite.decoding.confidence import Evidence, Reliability, correct_words, reliability
from wenet_lite.decoding.options import DecodingMode
from wenet_lite.decoding.part_files import RecognizedUtterance
from wenet_lite.decoding.recognized_words import RecognizedWord
from wenet_lite.errors import DataError
from wenet_lite.text.ideographs import split_words
from wenet_lite.text.rules import TextRules

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class JudgedWord:
    """Attributes:
    speaker: who said it; the utterance where the list does not tell.
    evidence: of the recognised word, with an n-best share.
    correct: whether it was said.
    """

    speaker: str
    evidence: Evidence
    correct: bool


@dataclass(frozen=True)
class CalibrationReport:
    """Each half of the speakers is measured with what was fitted on the other.

    Attributes:
        raw, calibrated: of all words.
        halves: raw and calibrated, of either half.
    """

    raw: Reliability
    calibrated: Reliability
    halves: tuple[tuple[Reliability, Reliability], ...]

    def __str__(self) -> str:
        """Both tables, and the errors of the halves."""
        errors = "; ".join(
            f"{raw.expected_calibration_error:.4f} before, {calibrated.expected_calibration_error:.4f} after"
            for raw, calibrated in self.halves
        )
        after = f"after, each half of the speakers by the other\n{self.calibrated}"
        return f"before\n{self.raw}\n\n{after}\n\nthe halves: {errors}"


def judged_words(
    recognized: Iterable[RecognizedUtterance],
    references: Mapping[str, Utterance],
    mode: DecodingMode,
    rules: TextRules,
) -> list[JudgedWord]:
    """Compare recognised words with what was said.

    Words without times, and those of recordings in segments, which have no n-best, are left out and counted in the log.

    Args:
        recognized: a dev set, with words.
        references: its utterances by id.
        mode: of the search.
        rules: of the model's texts.
    """
    judged, left_out = [], 0
    for utterance in recognized:
        words = utterance.words.get(mode, [])
        texts = [word.word.text if isinstance(word, RecognizedWord) else word.text for word in words]
        reference = references[utterance.key]
        for word, correct in zip(words, correct_words(split_words(rules(reference.txt)), texts)):
            if isinstance(word, RecognizedWord) and word.evidence.nbest_share is not None:
                judged.append(JudgedWord(reference.speaker or reference.key, word.evidence, correct))
            else:
                left_out += 1
    if left_out:
        _LOG.warning("%d words have no times or no n-best and are left out", left_out)
    return judged


def calibration_report(words: Sequence[JudgedWord]) -> CalibrationReport:
    """Fit on half of the speakers, measure on the other half, both ways.

    Raises:
        DataError: if all words are of one speaker.
        ConfigError: if one half has no wrong, or no right, words.
    """
    speakers = {speaker: i for i, speaker in enumerate(sorted({word.speaker for word in words}))}
    if len(speakers) < 2:
        raise DataError("a calibration is measured on other speakers than it is fitted on", cure="give two or more")
    halves = [[word for word in words if speakers[word.speaker] % 2 == half] for half in range(2)]
    confidences = [_calibrated(half, fit(other)) for half, other in zip(halves, reversed(halves))]
    measured = [(_reliability(half, _raw(half)), _reliability(half, found)) for half, found in zip(halves, confidences)]
    everyone = list(itertools.chain(*halves))
    return CalibrationReport(
        _reliability(everyone, _raw(everyone)),
        _reliability(everyone, list(itertools.chain(*confidences))),
        tuple(measured),
    )


def fit(words: Sequence[JudgedWord]) -> Calibration:
    """Fit a calibration on `words`; see `fit_calibration`."""
    return fit_calibration([word.evidence for word in words], [word.correct for word in words])


def _raw(words: Sequence[JudgedWord]) -> list[float]:
    return [word.evidence.raw_confidence for word in words]


def _calibrated(words: Sequence[JudgedWord], calibration: Calibration) -> list[float]:
    return [calibration(word.evidence) for word in words]


def _reliability(words: Sequence[JudgedWord], confidences: Sequence[float]) -> Reliability:
    return reliability(confidences, [word.correct for word in words])
