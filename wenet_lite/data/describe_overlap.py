"""What two data sets have in common and should not: a test set that was trained on measures nothing."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wenet_lite.data.describe_read import DataSet
from wenet_lite.data.utterance import Utterance


@dataclass(frozen=True)
class SharedItem:
    """Attributes:
    item: what both sets have.
    first_key, second_key: of each set, the first utterance that has it.
    """

    item: str
    first_key: str
    second_key: str


@dataclass(frozen=True)
class Overlap:
    """What two sets share, of one kind.

    Attributes:
        kind: `utterance ids`, `speakers`, `transcripts` or `audio files`.
        first, second: names of the sets.
        count: distinct items that both have.
        first_utterances, second_utterances: utterances of each set that have a shared item.
        first_share, second_share: those, of all utterances of the set.
        examples: the longest ones, which are the least likely to be there by chance.
    """

    kind: str
    first: str
    second: str
    count: int
    first_utterances: int
    second_utterances: int
    first_share: float
    second_share: float
    examples: tuple[SharedItem, ...]


_KINDS: dict[str, Callable[[Utterance], str]] = {
    "utterance ids": lambda utterance: utterance.key,
    "speakers": lambda utterance: utterance.speaker,
    "transcripts": lambda utterance: utterance.txt,
    "audio files": lambda utterance: utterance.wav if utterance.audio_offset is None else "",
}


def overlaps(sets: Sequence[DataSet], number: int) -> tuple[Overlap, ...]:
    """Compare every set with every other; letter for letter, and what is empty is not compared.

    Two spans of one recording share its audio file; utterances in tar shards have no file of their own.

    Args:
        sets: at least one.
        number: examples of each overlap.
    Returns:
        every kind for every pair, also where nothing is shared.
    """
    if len(sets) == 1:
        return ()
    found = []
    for kind, item_of in _KINDS.items():
        counted = [_CountedItems(data_set, item_of, _count(data_set.utterances, item_of)) for data_set in sets]
        found += [_overlap(kind, *pair, number) for pair in itertools.combinations(counted, 2)]
    return tuple(found)


@dataclass(frozen=True)
class _CountedItems:
    data_set: DataSet
    item_of: Callable[[Utterance], str]
    counts: dict[str, int]

    def first_keys(self, items: Sequence[str]) -> dict[str, str]:
        """For each of some items the first utterance that has it."""
        wanted, keys = set(items), {}
        if wanted:
            for utterance in reversed(self.data_set.utterances):
                if self.item_of(utterance) in wanted:
                    keys[self.item_of(utterance)] = utterance.key
        return keys


def _count(utterances: Sequence[Utterance], item_of: Callable[[Utterance], str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for utterance in utterances:
        item = item_of(utterance)
        if item:
            counts[item] = counts.get(item, 0) + 1
    return counts


def _overlap(kind: str, first: _CountedItems, second: _CountedItems, number: int) -> Overlap:
    shared = first.counts.keys() & second.counts.keys()
    examples = heapq.nsmallest(number, shared, lambda item: (-len(item), item))
    first_keys, second_keys = first.first_keys(examples), second.first_keys(examples)
    first_utterances = sum(first.counts[item] for item in shared)
    second_utterances = sum(second.counts[item] for item in shared)
    return Overlap(
        kind=kind,
        first=first.data_set.name,
        second=second.data_set.name,
        count=len(shared),
        first_utterances=first_utterances,
        second_utterances=second_utterances,
        first_share=first_utterances / max(len(first.data_set.utterances), 1),
        second_share=second_utterances / max(len(second.data_set.utterances), 1),
        examples=tuple(SharedItem(item, first_keys[item], second_keys[item]) for item in examples),
    )
