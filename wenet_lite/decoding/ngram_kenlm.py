"""N-gram language models in KenLM's files, asked through KenLM's own package."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from wenet_lite.data.kaldi import PathLike
from wenet_lite.decoding.ngram import UNKNOWN_WORD, Floats
from wenet_lite.errors import ConfigError, DataError

_LN_10 = math.log(10)


class KenLm:
    """A model that KenLM holds, with the `index`, `start`, `step`, `end` and `score` of `NgramLm`.

    KenLM knows words by their spelling; here they get ids as they are asked for. States are KenLM's: they can be
    compared and hashed, but are no numbers. Where the model has no `<unk>`, KenLM gives 10^-100 for it.

    Args:
        path: binary file of KenLM's `build_binary`, or an ARPA file.
    Attributes:
        words: ids of the words asked for so far; 0 is `<unk>`.
        start: state after `<s>`.
    Raises:
        ConfigError: if the package kenlm is not installed.
        DataError: if KenLM cannot read the file.
    """

    def __init__(self, path: PathLike) -> None:
        try:
            import kenlm
        except ImportError as error:
            cure = "pip install kenlm, or give an ARPA file"
            raise ConfigError("needs the package kenlm, which is not installed", path=path, cure=cure) from error
        try:
            self._model = kenlm.Model(os.fspath(path))
        except (OSError, RuntimeError) as error:
            raise DataError("is no language model that KenLM can read", path=path) from error
        self._new_state = kenlm.State
        self._spellings = [UNKNOWN_WORD]
        self.words = {UNKNOWN_WORD: 0}
        self.start = self._new_state()
        self._model.BeginSentenceWrite(self.start)

    @property
    def order(self) -> int:
        """Words of the longest n-grams."""
        return int(self._model.order)

    def index(self, word: str) -> int:
        """Id of a word, 0 where the model lacks it."""
        if word not in self._model:
            return 0
        index = self.words.setdefault(word, len(self._spellings))
        if index == len(self._spellings):
            self._spellings.append(word)
        return index

    def step(self, state: Any, word: int) -> tuple[float, Any]:
        """Go on by a word; returns natural log p(word | state) and the next state."""
        return self._score(state, self._spellings[word])

    def end(self, state: Any) -> float:
        """Natural log p(</s> | state)."""
        return self._score(state, "</s>")[0]

    def score(self, texts: Sequence[str]) -> Floats:
        """Natural log probability of each text with its end, (texts,)."""
        # not its `score`, which adds up in single precision
        return np.array([sum(each[0] for each in self._model.full_scores(text)) * _LN_10 for text in texts])

    def _score(self, state: Any, word: str) -> tuple[float, Any]:
        following = self._new_state()
        return self._model.BaseScore(state, word, following) * _LN_10, following
