"""Training of the sentencepiece model and making of a lang directory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from wenet_lite.config import dump_yaml
from wenet_lite.errors import DataError
from wenet_lite.text.rules import TextRules
from wenet_lite.text.tokenizer import UNKNOWN, write_units

ModelType = Literal["unigram", "bpe", "char"]


def make_lang_dir(
    transcripts: Sequence[str],
    rules: TextRules,
    vocab_size: int,
    model_type: ModelType,
    output_dir: str | os.PathLike[str],
) -> int:
    """Train sentencepiece on transcripts and write `bpe.model`, `units.txt` and `text_rules.yaml`.

    Args:
        transcripts: raw text, to which `rules` are applied here.
        rules: the text rules, kept beside the model.
        vocab_size: pieces of the model.
        model_type: sentencepiece's algorithm.
        output_dir: made whole under a temporary name, then renamed.
    Returns:
        the number of units, special ones included: those pieces that occur in the transcripts.
    Raises:
        DataError: if the text is empty or does not yield so many pieces.
    """
    import sentencepiece

    lines = [text for text in map(rules, transcripts) if text]
    if not lines:
        raise DataError("there is no text to train the BPE model on")
    target = Path(output_dir)
    temporary = target.with_name(target.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_prefix=os.fspath(temporary / "bpe"),
            vocab_size=vocab_size,
            model_type=model_type,
            character_coverage=1.0,
            normalization_rule_name="identity",
            hard_vocab_limit=model_type != "char",
            minloglevel=2,
        )
    except RuntimeError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        reason = str(error).strip().rpartition("] ")[2].rstrip(".")
        raise DataError(f"sentencepiece: {reason or error}", cure="choose another vocabulary size") from error
    (temporary / "bpe.vocab").unlink()
    processor = sentencepiece.SentencePieceProcessor(model_file=os.fspath(temporary / "bpe.model"))
    pieces = {piece for line in lines for piece in processor.encode(line, out_type=str)} - {UNKNOWN}
    write_units(sorted(pieces), temporary / "units.txt")
    dump_yaml(rules, temporary / "text_rules.yaml")
    shutil.rmtree(target, ignore_errors=True)
    temporary.replace(target)
    return len(pieces) + 3
