"""Do the words of a text and of a language model fit together?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

MANY_UNKNOWN = 0.2
"""Share of unknown words from which something other than rare words must be the cause."""

_CASES: Mapping[str, Callable[[str], str]] = {
    "in lower case": str.lower,
    "in upper case": str.upper,
}


@dataclass(frozen=True)
class Coverage:
    """Words of a text that a language model has.

    Attributes:
        num_words: words of the text.
        num_unknown: those that the model does not have.
        examples: the most frequent ones of these.
        cure: what to do about it; none where the text fits.
    """

    num_words: int
    num_unknown: int
    examples: tuple[str, ...]
    cure: str | None

    @property
    def unknown_share(self) -> float:
        """Unknown words as a part of all words."""
        return self.num_unknown / max(self.num_words, 1)

    def __str__(self) -> str:
        such = f", such as {', '.join(self.examples)}" if self.examples else ""
        cure = f" ({self.cure})" if self.cure else ""
        return f"the language model lacks {100 * self.unknown_share:.1f} % of the words{such}{cure}"


def check_coverage(vocabulary: Collection[str], texts: Iterable[str]) -> Coverage:
    """Count the words that a model lacks; where they are many, find out why.

    Args:
        vocabulary: words of the model, such as `NgramLm.words`.
        texts: references, as the recogniser spells words; or hypotheses, of which a weak recogniser invents many.
    """
    counts = Counter(word for text in texts for word in text.split())
    unknown = Counter({word: count for word, count in counts.items() if word not in vocabulary})
    examples = tuple(word for word, _ in sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:5])
    cure = None
    if unknown.total() > MANY_UNKNOWN * counts.total():
        cure = _cure(vocabulary, unknown)
    return Coverage(counts.total(), unknown.total(), examples, cure)


def _cure(vocabulary: Collection[str], unknown: Mapping[str, int]) -> str:
    for name, change_case in _CASES.items():
        found = sum(count for word, count in unknown.items() if change_case(word) in vocabulary)
        if 2 * found > sum(unknown.values()):
            return f"its words are {name}: estimate it on text as the recogniser spells it, by train_lm --rules"
    if 2 * sum(len(word) == 1 for word in vocabulary) > len(vocabulary):
        return "its words are single characters: estimate it on whole words, by train_lm --rules"
    return "estimate it on text of the same kind and language"
