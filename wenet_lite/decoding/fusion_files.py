"""Hotwords and language models from their files, for a model's units."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from wenet_lite.data.kaldi import PathLike
from wenet_lite.decoding.fusion import Fusion, WordLm
from wenet_lite.decoding.hotword_list import read_hotwords
from wenet_lite.decoding.lm_coverage import check_coverage
from wenet_lite.decoding.ngram_arpa import read_arpa
from wenet_lite.decoding.options import DecodingOptions
from wenet_lite.errors import ConfigError
from wenet_lite.text.tokenizer import Tokenizer, word_splitter

_LOG = logging.getLogger(__name__)


def load_fusion(
    tokenizer: Tokenizer,
    options: DecodingOptions,
    hotwords: PathLike | None,
    lm: PathLike | None,
    references: Iterable[str] = (),
) -> Fusion:
    """Read what is to be fused into the searches.

    Args:
        tokenizer: of the model.
        options: weights and scores.
        hotwords: list of phrases.
        lm: ARPA file, .gz too.
        references: transcripts, if there are any: how many of their words the language model has is told.
    Raises:
        DataError: for a file that cannot be read, or is malformed.
        ConfigError: for a language model that cannot be fused.
    """
    if lm is not None and not str(lm).removesuffix(".gz").endswith(".arpa"):
        raise ConfigError("is no .arpa or .arpa.gz", path=lm, cure="KenLM's files serve rescore_nbest")
    phrases = read_hotwords(hotwords, tokenizer, options.hotword_score) if hotwords is not None else []
    word_lm = None
    if lm is not None:
        word_lm = WordLm(read_arpa(Path(lm)), options.lm_weight, options.word_bonus)
        words = word_splitter(tokenizer.units)
        texts = [" ".join(words(text)) for text in references if text]
        if texts:
            coverage = check_coverage(word_lm.lm.words, texts)
            _LOG.log(logging.WARNING if coverage.cure else logging.INFO, "%s: %s", lm, coverage)
    return Fusion(list(tokenizer.units), phrases, word_lm)
