"""N-best lists, and their reordering by a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from wenet_lite.data.kaldi import PathLike
from wenet_lite.decoding.ngram import Floats
from wenet_lite.decoding.weight_files import LmWeights
from wenet_lite.scoring.nbest import read_nbest as read_hypotheses


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


def read_nbest(path: PathLike) -> list[Nbest]:
    """Read the `nbest.jsonl` of a decode; see `wenet_lite.scoring.nbest.read_nbest`."""
    return [
        Nbest(key, tuple(hyp.text for hyp in hyps), tuple(hyp.score for hyp in hyps))
        for key, hyps in read_hypotheses(path).items()
    ]


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
