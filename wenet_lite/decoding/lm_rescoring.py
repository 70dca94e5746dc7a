"""N-best lists, and their reordering by a language model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from wenet_lite.data.kaldi import PathLike, read_lines
from wenet_lite.decoding.ngram import Floats
from wenet_lite.errors import DataError


class LanguageModel(Protocol):
    """What rescoring asks of a language model."""

    def score(self, texts: Sequence[str]) -> Floats:
        """Natural log probability of each text with its end, (texts,)."""


@dataclass(frozen=True)
class Nbest:
    """Readings of an utterance, best first.

    Attributes:
        key: utterance id.
        texts: what was read.
        scores: natural logs, one a text.
    """

    key: str
    texts: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class LmWeights:
    """A reading's score becomes: score + lm_weight * log p(text) + word_bonus * words.

    Attributes:
        lm_weight: of the language model's natural log probability.
        word_bonus: for each word, against the language model's preference for few of them.
    """

    lm_weight: float
    word_bonus: float


def read_nbest(path: PathLike) -> list[Nbest]:
    """Read the `nbest.jsonl` of a decoding.

    Raises:
        DataError: if the file cannot be read or a line is malformed.
    """
    found = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            tree = json.loads(line)
            entries = [(str(entry["text"]), float(entry["score"])) for entry in tree["nbest"]]
            texts, scores = zip(*entries)
            found.append(Nbest(str(tree["key"]), texts, scores))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError("is no n-best list", path=path, line=number, cure="decode again") from error
    return found


def rescore(nbests: Sequence[Nbest], lm: LanguageModel, weights: LmWeights) -> list[Nbest]:
    """Reorder n-best lists by their scores with the language model; of readings that score alike, the order stays."""
    log_probs = iter(lm.score([text for nbest in nbests for text in nbest.texts]).tolist())
    rescored = []
    for nbest in nbests:
        readings = [
            (score + weights.lm_weight * next(log_probs) + weights.word_bonus * len(text.split()), text)
            for text, score in zip(nbest.texts, nbest.scores)
        ]
        readings.sort(key=lambda reading: reading[0], reverse=True)
        scores, texts = zip(*readings)
        rescored.append(Nbest(nbest.key, texts, scores))
    return rescored
