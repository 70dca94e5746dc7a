"""Where the errors of a set are: by speaker, and by word."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from wenet_lite.data.kaldi import PathLike, read_table
from wenet_lite.errors import DataError
from wenet_lite.scoring.wer import ErrorCounts, Scores, abridged

SPEAKER_COLUMNS = ("speaker", "WER %", "words", "ins", "del", "sub", "sentences", "wrong")


@dataclass(frozen=True)
class SpeakerScores:
    """Attributes:
    speaker: its id.
    utterances: how many were scored.
    wrong: how many of them have an error.
    counts: their errors.
    """

    speaker: str
    utterances: int
    wrong: int
    counts: ErrorCounts

    def row(self) -> tuple[str, ...]:
        """The cells under `SPEAKER_COLUMNS`."""
        counts = self.counts
        figures = (counts.ref_words, counts.ins, counts.dels, counts.subs, self.utterances, self.wrong)
        return (self.speaker, f"{counts.rate:.2f}", *map(str, figures))


@dataclass(frozen=True)
class FrequentErrors:
    """The most frequent errors of each kind, each with how often it happened, most frequent first.

    Attributes:
        substitutions: (reference unit, hypothesis unit), times.
        insertions, deletions: unit, times.
    """

    substitutions: tuple[tuple[tuple[str, str], int], ...]
    insertions: tuple[tuple[str, int], ...]
    deletions: tuple[tuple[str, int], ...]


def read_speakers(path: PathLike, scores: Scores) -> dict[str, str]:
    """Read `utt2spk`.

    Raises:
        DataError: if the file is malformed or lacks a scored utterance.
    """
    utt2spk = read_table(path)
    lacking = [utterance.key for utterance in scores.utterances if not utt2spk.get(utterance.key)]
    if lacking:
        message = f"has no speaker for {len(lacking)} of {len(scores.utterances)} utterances: {abridged(lacking)}"
        raise DataError(message, path=path, cure="give the utt2spk that lies beside the references")
    return utt2spk


def scores_by_speaker(scores: Scores, utt2spk: Mapping[str, str]) -> list[SpeakerScores]:
    """The errors of each speaker, the highest error rate first."""
    counts: dict[str, list[ErrorCounts]] = defaultdict(list)
    for utterance in scores.utterances:
        counts[utt2spk[utterance.key]].append(utterance.counts)
    speakers = [
        SpeakerScores(speaker, len(each), sum(c.errors > 0 for c in each), sum(each, ErrorCounts()))
        for speaker, each in counts.items()
    ]
    return sorted(speakers, key=lambda s: (-s.counts.rate, s.speaker))


def frequent_errors(scores: Scores, limit: int) -> FrequentErrors:
    """The `limit` most frequent errors of each kind; equally frequent ones in the order of their spelling."""
    pairs = Counter(pair for utterance in scores.utterances for pair in utterance.pairs if pair[0] != pair[1])
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    return FrequentErrors(
        substitutions=tuple([item for item in ranked if all(item[0])][:limit]),
        insertions=tuple([(hyp, times) for (ref, hyp), times in ranked if not ref][:limit]),
        deletions=tuple([(ref, times) for (ref, hyp), times in ranked if not hyp][:limit]),
    )
