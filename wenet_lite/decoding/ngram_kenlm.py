"""N-gram language models in KenLM's files, asked through KenLM's own package."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np

from wenet_lite.data.kaldi import PathLike
from wenet_lite.decoding.ngram import Floats
from wenet_lite.errors import ConfigError, DataError

_LN_10 = math.log(10)


class KenLm:
    """A model that KenLM holds. Where it has no `<unk>`, KenLM gives 10^-100 for it.

    Args:
        path: binary file of KenLM's `build_binary`, or an ARPA file.
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

    def score(self, texts: Sequence[str]) -> Floats:
        """Natural log probability of each text with its end, (texts,)."""
        # not its `score`, which adds up in single precision
        return np.array([sum(each[0] for each in self._model.full_scores(text)) * _LN_10 for text in texts])
