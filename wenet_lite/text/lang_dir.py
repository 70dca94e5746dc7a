"""Making of a lang directory: the units of a text, by sentencepiece or character by character."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from wenet_lite.config import dump_yaml
from wenet_lite.errors import DataError
from wenet_lite.text.rules import TextRules
from wenet_lite.text.tokenizer import BPE_MODEL, LANG_FILES, UNKNOWN, WORD_START, parts_of, write_units

ModelType = Literal["unigram", "bpe", "char"]


def make_lang_dir(
    transcripts: Sequence[str],
    rules: TextRules,
    vocab_size: int,
    model_type: ModelType,
    output_dir: str | os.PathLike[str],
) -> int:
    """Write `units.txt`, `text_rules.yaml` and, unless units are characters, sentencepiece's `bpe.model`.

    Args:
        transcripts: raw text, to which `rules` are applied here.
        rules: the text rules, kept beside the units.
        vocab_size: pieces of the model; at most so many characters, the most frequent ones.
        model_type: sentencepiece's algorithm, or `char` for plain characters.
        output_dir: made whole under a temporary name, then renamed.
    Returns:
        the number of units, special ones included: those pieces that occur in the transcripts.
    Raises:
        DataError: if the text is empty, does not yield so many pieces or, for sentencepiece, is all Chinese characters
            that `rules` make units; or if the folder holds something else.
    """
    lines = [text for text in map(rules, transcripts) if text]
    if not lines:
        raise DataError("there is no text to train the BPE model on")
    target = Path(output_dir).resolve()
    foreign = {path.name for path in target.iterdir()} - set(LANG_FILES) if target.is_dir() else set()
    if foreign:
        message = f"holds other files than a lang directory, such as {min(foreign)}"
        raise DataError(message, path=output_dir, cure="choose a new folder")
    temporary = target.with_name(target.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        if model_type == "char":
            pieces = _characters(lines, vocab_size)
        else:
            parts = [part for line in lines for part in parts_of(line, rules)]
            between = [part for part, is_unit in parts if not is_unit]
            if not between:
                message = (
                    f"the text is all Chinese characters, units by text.split_han: no {model_type} model is needed"
                )
                raise DataError(message, cure="--model-type char")
            pieces = {part for part, is_unit in parts if is_unit} | _train(between, vocab_size, model_type, temporary)
        write_units(sorted(pieces), temporary / "units.txt")
        dump_yaml(rules, temporary / "text_rules.yaml")
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(target, ignore_errors=True)
    temporary.replace(target)
    return len(pieces) + 3


def _characters(lines: Sequence[str], vocab_size: int) -> set[str]:
    counts = Counter(character for line in lines for character in line.replace(" ", WORD_START))
    return {character for character, _ in counts.most_common(vocab_size)}


def _train(lines: Sequence[str], vocab_size: int, model_type: str, folder: Path) -> set[str]:
    """Leave `bpe.model` in `folder`; returns the pieces that occur in `lines`."""
    import sentencepiece

    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_prefix=os.fspath(folder / "bpe"),
            vocab_size=vocab_size,
            model_type=model_type,
            character_coverage=1.0,
            normalization_rule_name="identity",
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).strip().rpartition("] ")[2].rstrip(".")
        raise DataError(f"sentencepiece: {reason or error}", cure="choose another vocabulary size") from error
    (folder / "bpe.vocab").unlink()
    processor = sentencepiece.SentencePieceProcessor(model_file=os.fspath(folder / BPE_MODEL))
    return {piece for line in lines for piece in processor.encode(line, out_type=str)} - {UNKNOWN}
