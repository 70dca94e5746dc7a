"""What data sets hold, each for itself and compared with the others: hours, lengths, texts, likely mistakes, audio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wenet_lite.data.describe_audio import AudioDescription, describe_audio
from wenet_lite.data.describe_distribution import Distribution, distributions
from wenet_lite.data.describe_rate import suspect_transcripts
from wenet_lite.data.describe_read import DataSet, Problem
from wenet_lite.data.describe_text import (
    TextDescription,
    character_counts,
    count_text,
    most_common,
    repeated_transcripts,
    unknown_units,
    unseen_text,
)
from wenet_lite.data.kaldi import PathLike
from wenet_lite.data.manifest import Utterance


@dataclass(frozen=True)
class DescribeOptions:
    """Attributes:
    jobs: processes that read audio.
    audio: whether audio is read at all.
    max_audio: utterances of each set whose audio is read, 0 for all.
    examples: items of each list.
    lang_dir: its units are compared with the transcripts; "" for none.
    allow_pipes: whether commands may be run.
    """

    jobs: int = 1
    audio: bool = True
    max_audio: int = 2000
    examples: int = 20
    lang_dir: PathLike = ""
    allow_pipes: bool = False


@dataclass(frozen=True)
class SetDescription:
    """Attributes:
    name, path: of the set.
    num_utterances: those that can be used.
    left_out: the others.
    hours: of all utterances.
    num_speakers: speakers.
    hours_per_speaker: how they share the hours.
    durations: seconds of the utterances.
    sample_rates: Hz -> utterances; empty where no header was read.
    text: the transcripts.
    audio: None where audio was not asked for.
    """

    name: str
    path: str
    num_utterances: int
    left_out: tuple[Problem, ...]
    hours: float
    num_speakers: int
    hours_per_speaker: Distribution | None
    durations: Distribution | None
    sample_rates: dict[int, int]
    text: TextDescription
    audio: AudioDescription | None


@dataclass(frozen=True)
class Overlap:
    """What two sets have in common.

    Attributes:
        first, second: their names.
        kind: utterance ids, speakers, audio, or transcripts.
        count: distinct items.
        share: utterances of `second` with such an item, as a part of all.
        examples: some of them.
    """

    first: str
    second: str
    kind: str
    count: int
    share: float
    examples: tuple[str, ...]


@dataclass(frozen=True)
class DataDescription:
    """Attributes:
    sets: in the order in which they were given.
    overlaps: what two of them have in common, where that is anything.
    """

    sets: tuple[SetDescription, ...]
    overlaps: tuple[Overlap, ...]


def describe(sets: Sequence[DataSet], options: DescribeOptions) -> DataDescription:
    """Measure data sets.

    Raises:
        DataError: if the lang directory is malformed.
    """
    counts = [count_text(data.utterances) for data in sets]
    seconds = [np.array([u.duration for u in data.utterances], np.float64) for data in sets]
    word_rates = [found.num_words / length for found, length in zip(counts, seconds)]
    rates = [found.num_characters / length for found, length in zip(counts, seconds)]
    spread_of_durations = distributions(seconds)
    spread_of_words = distributions([rate[rate > 0] for rate in word_rates])
    spread_of_characters = distributions([rate[rate > 0] for rate in rates])
    described = []
    for i, data in enumerate(sets):
        repeated = repeated_transcripts(data.utterances)
        text = TextDescription(
            num_words=int(counts[i].num_words.sum()),
            vocabulary=len(counts[i].words),
            num_once=sum(count == 1 for count in counts[i].words.values()),
            characters=character_counts(counts[i]),
            num_empty=int((counts[i].num_words == 0).sum()),
            num_repeated=repeated.total() - len(repeated),
            repeated=most_common(repeated, options.examples),
            words_per_second=spread_of_words[i],
            characters_per_second=spread_of_characters[i],
            suspects=suspect_transcripts(data.utterances, rates[i], options.examples),
            unseen=unseen_text(counts[0], counts[i], options.examples) if i else None,
            unknown=unknown_units(data.utterances, options.lang_dir, options.examples) if options.lang_dir else None,
        )
        hours: dict[str, float] = {}
        for utterance in data.utterances:
            hours[utterance.speaker] = hours.get(utterance.speaker, 0.0) + utterance.duration / 3600
        described.append(
            SetDescription(
                name=data.name,
                path=data.path,
                num_utterances=len(data.utterances),
                left_out=tuple(data.left_out),
                hours=float(seconds[i].sum() / 3600),
                num_speakers=len(hours),
                hours_per_speaker=distributions([np.array(list(hours.values()))])[0],
                durations=spread_of_durations[i],
                sample_rates=dict(Counter(u.sample_rate for u in data.utterances if u.num_samples)),
                text=text,
                audio=_audio(data, options) if options.audio else None,
            )
        )
    return DataDescription(tuple(described), tuple(_overlaps(sets, options.examples)))


def _audio(data: DataSet, options: DescribeOptions) -> AudioDescription:
    return describe_audio(
        data.utterances,
        jobs=options.jobs,
        max_audio=options.max_audio,
        number=options.examples,
        allow_pipes=options.allow_pipes,
    )


_KINDS: dict[str, Callable[[Utterance], str]] = {
    "utterance ids": lambda u: u.key,
    "speakers": lambda u: u.speaker,
    "audio": lambda u: f"{u.wav} from {u.start or u.audio_offset or 0}",
    "transcripts": lambda u: u.txt,
}


def _overlaps(sets: Sequence[DataSet], examples: int) -> list[Overlap]:
    found = []
    for j, second in enumerate(sets):
        for first in sets[:j]:
            for kind, item in _KINDS.items():
                common = {item(u) for u in first.utterances} & {item(u) for u in second.utterances} - {""}
                if common:
                    share = sum(item(u) in common for u in second.utterances) / len(second.utterances)
                    shown = tuple(sorted(common)[:examples])
                    found.append(Overlap(first.name, second.name, kind, len(common), share, shown))
    return found
