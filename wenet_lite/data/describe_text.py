"""What the transcripts of a data set hold: words, characters, rates, repetitions, units without a name."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wenet_lite.data.describe_distribution import Distribution, distributions
from wenet_lite.data.describe_rate import SuspectTranscripts, suspect_transcripts
from wenet_lite.data.describe_read import DataSet, Problem
from wenet_lite.data.kaldi import PathLike
from wenet_lite.data.utterance import Utterance
from wenet_lite.text.tokenizer import UNKNOWN, Tokenizer, load_tokenizer


@dataclass(frozen=True)
class TextCounts:
    """What one pass over the transcripts finds.

    Attributes:
        words: word -> occurrences; a word ends at white space of any kind.
        blanks: white space -> occurrences.
        num_words: (utterances,) words.
        num_characters: (utterances,) characters that are no white space.
    """

    words: Counter[str]
    blanks: Counter[str]
    num_words: np.ndarray
    num_characters: np.ndarray


@dataclass(frozen=True)
class ItemCount:
    """Attributes:
    item: a word, a character or a transcript.
    count: occurrences.
    """

    item: str
    count: int


@dataclass(frozen=True)
class CharacterCount:
    """Attributes:
    character: one code point.
    count: occurrences.
    word: a word that has it, the most frequent one; "" for white space.
    """

    character: str
    count: int
    word: str


@dataclass(frozen=True)
class UnseenText:
    """What the first set does not have.

    Attributes:
        num_words: distinct words.
        num_running_words: their occurrences.
        share: those, of the set's running words.
        words: the most frequent ones.
        characters: all of them, most frequent first.
    """

    num_words: int
    num_running_words: int
    share: float
    words: tuple[ItemCount, ...]
    characters: tuple[CharacterCount, ...]


@dataclass(frozen=True)
class UnknownUnits:
    """What a lang directory has no unit for.

    Attributes:
        num_units: units of all transcripts, after the text rules.
        num_unknown: how many of them are <unk>.
        share: those, of all.
        num_utterances: utterances with at least one.
        utterances: those with the most.
    """

    num_units: int
    num_unknown: int
    share: float
    num_utterances: int
    utterances: tuple[Problem, ...]


@dataclass(frozen=True)
class TextDescription:
    """The transcripts of a set, as they stand in its files.

    Attributes:
        num_words: running words.
        vocabulary: distinct words.
        num_once: words that occur once.
        characters: the inventory, most frequent first.
        num_empty: utterances without a word.
        num_repeated: utterances whose transcript an earlier one of the set has.
        repeated: the transcripts that the most utterances have.
        words_per_second, characters_per_second: of each utterance with words; white space does not count.
        suspects: transcripts that do not fit the length of their audio.
        unseen: compared with the first set; None for that.
        unknown: None without a lang directory.
    """

    num_words: int
    vocabulary: int
    num_once: int
    characters: tuple[CharacterCount, ...]
    num_empty: int
    num_repeated: int
    repeated: tuple[ItemCount, ...]
    words_per_second: Distribution | None
    characters_per_second: Distribution | None
    suspects: SuspectTranscripts
    unseen: UnseenText | None
    unknown: UnknownUnits | None


def describe_texts(sets: Sequence[DataSet], number: int, lang_dir: PathLike | None) -> list[TextDescription]:
    """Describe the transcripts of sets, the later ones compared with the first.

    Args:
        sets: at least one.
        number: items of each list.
        lang_dir: its units are compared with the transcripts; None for none.
    Raises:
        DataError: if a file of the lang directory is missing or malformed.
    """
    tokenizer = None if lang_dir is None else load_tokenizer(lang_dir)
    counts = [count_text(data_set.utterances) for data_set in sets]
    seconds = [np.array([utterance.duration for utterance in data_set.utterances]) for data_set in sets]
    rates = [count.num_characters / length for count, length in zip(counts, seconds)]
    word_spreads = distributions([_above_0(count.num_words / length) for count, length in zip(counts, seconds)])
    character_spreads = distributions([_above_0(rate) for rate in rates])
    first_characters = character_counts(counts[0])
    descriptions = []
    for i, (data_set, count) in enumerate(zip(sets, counts)):
        repeated = repeated_transcripts(data_set.utterances)
        characters = character_counts(count)
        descriptions.append(
            TextDescription(
                num_words=int(count.num_words.sum()),
                vocabulary=len(count.words),
                num_once=sum(occurrences == 1 for occurrences in count.words.values()),
                characters=characters,
                num_empty=int(np.count_nonzero(count.num_words == 0)),
                num_repeated=repeated.total() - len(repeated),
                repeated=_most_common(repeated, number),
                words_per_second=word_spreads[i],
                characters_per_second=character_spreads[i],
                suspects=suspect_transcripts(data_set.utterances, rates[i], number),
                unseen=_unseen(counts[0], first_characters, count, characters, number) if i else None,
                unknown=None if tokenizer is None else _unknown_units(data_set.utterances, tokenizer, number),
            )
        )
    return descriptions


def count_text(utterances: Sequence[Utterance]) -> TextCounts:
    """Count words and characters, in one pass."""
    words: Counter[str] = Counter()
    blanks: Counter[str] = Counter()
    num_words = np.zeros(len(utterances), np.int64)
    num_characters = np.zeros(len(utterances), np.int64)
    for i, utterance in enumerate(utterances):
        text = utterance.txt
        split = text.split()
        words.update(split)
        num_words[i] = len(split)
        if " ".join(split) == text:
            num_characters[i] = len(text) - max(len(split) - 1, 0)
        else:
            num_characters[i] = sum(map(len, split))
            blanks.update(filter(str.isspace, text))
            blanks[" "] -= max(len(split) - 1, 0)  # added again below
    blanks[" "] += int(num_words.sum() - np.count_nonzero(num_words))
    return TextCounts(words, +blanks, num_words, num_characters)


def character_counts(counts: TextCounts) -> tuple[CharacterCount, ...]:
    """The inventory, most frequent first; counted over distinct words, which are few."""
    total: Counter[str] = Counter(counts.blanks)
    example: dict[str, str] = dict.fromkeys(counts.blanks, "")
    for word, occurrences in counts.words.most_common():
        for character in word:
            total[character] += occurrences
            example.setdefault(character, word)
    ordered = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    return tuple(CharacterCount(character, count, example[character]) for character, count in ordered)


def repeated_transcripts(utterances: Sequence[Utterance]) -> Counter[str]:
    """Transcripts of more than one utterance -> utterances; empty ones aside."""
    counts = Counter(utterance.txt for utterance in utterances)
    return Counter({text: count for text, count in counts.items() if count > 1 and text.strip()})


def _above_0(values: np.ndarray) -> np.ndarray:
    return values[values > 0]


def _most_common(counts: Counter[str], number: int) -> tuple[ItemCount, ...]:
    # among equals in the order of code points, so that the same data give the same lines
    return tuple(ItemCount(*item) for item in heapq.nsmallest(number, counts.items(), lambda item: (-item[1], item[0])))


def _unseen(
    first: TextCounts,
    first_characters: Sequence[CharacterCount],
    later: TextCounts,
    later_characters: Sequence[CharacterCount],
    number: int,
) -> UnseenText:
    words = Counter({word: count for word, count in later.words.items() if word not in first.words})
    known = {entry.character for entry in first_characters}
    return UnseenText(
        num_words=len(words),
        num_running_words=words.total(),
        share=words.total() / max(later.words.total(), 1),
        words=_most_common(words, number),
        characters=tuple(entry for entry in later_characters if entry.character not in known),
    )


def _unknown_units(utterances: Sequence[Utterance], tokenizer: Tokenizer, number: int) -> UnknownUnits:
    num_units, unknown = 0, {}
    for utterance in utterances:
        units, lost = _count_unknown(tokenizer, utterance.txt)
        num_units += units
        if lost:
            unknown[utterance.key] = lost
    num_unknown = sum(unknown.values())
    worst = heapq.nsmallest(number, unknown.items(), lambda item: (-item[1], item[0]))
    return UnknownUnits(
        num_units=num_units,
        num_unknown=num_unknown,
        share=num_unknown / max(num_units, 1),
        num_utterances=len(unknown),
        utterances=tuple(Problem(key, f"{lost} {UNKNOWN}") for key, lost in worst),
    )


def _count_unknown(tokenizer: Tokenizer, text: str) -> tuple[int, int]:
    """Units of a transcript, and how many of them have no id; `encode` may be told to drop those."""
    pieces = tokenizer.split(tokenizer.rules(text))
    return len(pieces), sum(piece not in tokenizer.units for piece in pieces)
