"""Counting of n-grams in a text, order by order, in flat arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wenet_lite.decoding.ngram import SENTENCE_END, SENTENCE_START, UNKNOWN_WORD, Ints
from wenet_lite.errors import DataError

_SPECIAL_WORDS = (SENTENCE_START, SENTENCE_END, UNKNOWN_WORD)


@dataclass(frozen=True)
class Corpus:
    """A text as numbers.

    Attributes:
        words: the vocabulary, ascending, `<s>`, `</s>` and `<unk>` among them; a word's position is its id.
        tokens: int32 ids of all sentences, each from its `<s>` to its `</s>`.
    """

    words: list[str]
    tokens: npt.NDArray[np.int32]

    def index(self, word: str) -> int:
        """Id of a word that is there."""
        return self.words.index(word)


@dataclass(frozen=True)
class NgramCounts:
    """All n-grams of one order that occur, ascending by (n-gram without its last word, last word).

    Attributes:
        parents: position of the n-gram without its last word among those of the order below; 0 for single words.
        words: id of the last word.
        suffixes: position of the n-gram without its first word among those of the order below; 0 for single words.
        counts: how often each occurs.
    """

    parents: Ints
    words: Ints
    suffixes: Ints
    counts: Ints


def encode_corpus(sentences: Iterable[str], vocab_size: int | None, min_count: int) -> Corpus:
    """Choose the vocabulary and number the words; what is not in the vocabulary becomes `<unk>`.

    Args:
        sentences: words with blanks between them.
        vocab_size: so many words at most, the most frequent ones (of those as frequent, the first by code points),
            not counting the special ones; none for all.
        min_count: occurrences that a word needs.
    Raises:
        DataError: if there is no word, or one is `<s>` or `</s>`.
    """
    seen: dict[str, int] = {SENTENCE_START: 0, SENTENCE_END: 1}
    tokens: list[npt.NDArray[np.int32]] = []
    for number, sentence in enumerate(sentences, 1):
        words = sentence.split()
        if SENTENCE_START in words or SENTENCE_END in words:
            cure = "take it out: the ends of sentences are added here"
            raise DataError(f"sentence {number} has the word {SENTENCE_START} or {SENTENCE_END}", cure=cure)
        tokens.append(np.array([0, *(seen.setdefault(word, len(seen)) for word in words), 1], dtype=np.int32))
    if len(seen) == 2:
        raise DataError("there is no text to estimate a language model on")
    text = np.concatenate(tokens)
    frequencies = np.bincount(text, minlength=len(seen)).tolist()
    counts = {word: frequencies[index] for word, index in seen.items() if word not in _SPECIAL_WORDS}
    frequent = sorted((word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word))
    vocabulary = sorted({*frequent[:vocab_size], *_SPECIAL_WORDS})
    ids = {word: index for index, word in enumerate(vocabulary)}
    renumbered = np.array([ids.get(word, ids[UNKNOWN_WORD]) for word in seen], dtype=np.int32)
    return Corpus(vocabulary, renumbered[text])


def count_ngrams(corpus: Corpus, order: int) -> list[NgramCounts]:
    """Count n-grams of 1, 2, ... `order` words; fewer orders where no sentence is so long.

    No n-gram reaches over the end of a sentence.
    """
    tokens = corpus.tokens.astype(np.int64)
    vocab_size = len(corpus.words)
    end = corpus.index(SENTENCE_END)
    none = np.zeros(vocab_size, dtype=np.int64)
    counted = [NgramCounts(none, np.arange(vocab_size), none, np.bincount(tokens, minlength=vocab_size))]
    starts = np.arange(len(tokens))
    ids = tokens  # at each token, the position among its order's n-grams of the one that starts there
    for length in range(2, order + 1):
        starts = starts[tokens[starts + length - 2] != end]
        if not len(starts):
            break
        keys, found, counts = np.unique(
            ids[starts] * vocab_size + tokens[starts + length - 1], return_inverse=True, return_counts=True
        )
        suffixes = np.empty(len(keys), dtype=np.int64)
        suffixes[found] = ids[starts + 1]
        counted.append(NgramCounts(keys // vocab_size, keys % vocab_size, suffixes, counts))
        ids = np.zeros_like(tokens)
        ids[starts] = found
    return counted
