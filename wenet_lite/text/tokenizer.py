"""From text to unit ids and back, by the files of a lang directory."""

from __future__ import annotations

import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from wenet_lite.config import from_dict, load_yaml
from wenet_lite.errors import DataError
from wenet_lite.text.ideographs import split_words
from wenet_lite.text.rules import TextRules

BLANK, UNKNOWN, SOS_EOS = "<blank>", "<unk>", "<sos/eos>"
SPECIAL_UNITS = (BLANK, UNKNOWN, SOS_EOS)
"""The units with ids 0, 1 and 2."""
BPE_MODEL = "bpe.model"
LANG_FILES = ("units.txt", "text_rules.yaml", BPE_MODEL)
"""What a lang directory holds; the last where units are sentencepiece's."""
WORD_START = "▁"
"""What sentencepiece puts where a word begins."""
HAN = re.compile("([\u4e00-\u9fff])")
"""A Chinese character, of those that WeNet knows."""


def read_units(path: str | os.PathLike[str]) -> dict[str, int]:
    """Read units.txt, `<unit> <id>` a line.

    Raises:
        DataError: if a line is malformed, ids are not 0, 1, 2, ... or the special units are not the first three.
    """
    units: dict[str, int] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise DataError(f"cannot read the units: {error.strerror}", path=path, cure="stage 3 makes them") from error
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8", path=path, cure="stage 3 makes it") from error
    for number, line in enumerate(lines[:-1] if not lines[-1] else lines, 1):
        unit, _, index = line.rpartition(" ")
        if not unit or index != str(number - 1) or unit in units:
            raise DataError(f"expected '<unit> {number - 1}', found '{line}'", path=path, line=number)
        units[unit] = number - 1
    if tuple(units)[:3] != SPECIAL_UNITS:
        raise DataError(f"the first three units must be {', '.join(SPECIAL_UNITS)}", path=path)
    return units


def write_units(pieces: Iterable[str], path: str | os.PathLike[str]) -> None:
    """Write units.txt: the special units, then `pieces` in their order from id 3."""
    lines = [f"{unit} {index}\n" for index, unit in enumerate([*SPECIAL_UNITS, *pieces])]
    Path(path).write_text("".join(lines), encoding="utf-8")


class Tokenizer(ABC):
    """Units of a lang directory, numbered by its units.txt.

    Args:
        lang_dir: holds `units.txt` and `text_rules.yaml`.
    Attributes:
        rules: applied to a text before it is encoded.
        units: unit -> id.
    Raises:
        DataError: if a file is missing or malformed.
    """

    def __init__(self, lang_dir: str | os.PathLike[str]) -> None:
        folder = Path(lang_dir)
        self.rules = from_dict(TextRules, load_yaml(folder / "text_rules.yaml"), path=folder / "text_rules.yaml")
        self.units = read_units(folder / "units.txt")
        self._pieces = list(self.units)

    @abstractmethod
    def split(self, text: str) -> list[str]:
        """The pieces of a text, known as units or not."""

    @property
    def vocab_size(self) -> int:
        """Number of units, special ones included."""
        return len(self.units)

    def encode(self, text: str) -> list[int]:
        """Unit ids of a text to which the rules have been applied; see `TextRules.unknown` for what has no unit."""
        unknown = self.units[UNKNOWN]
        ids = [self.units.get(piece, unknown) for piece in self.split(text)]
        return ids if self.rules.unknown == "unit" else [index for index in ids if index != unknown]

    def encode_transcript(self, text: str) -> list[int]:
        """Unit ids of a text as it stands in a list; the rules change nothing where they have been applied."""
        return self.encode(self.rules(text))

    def writes_like(self, other: Tokenizer) -> bool:
        """Whether another tokenizer makes the same unit ids of a text to which the rules have been applied."""
        return type(self) is type(other) and self.units == other.units

    def decode(self, ids: Sequence[int]) -> str:
        """Text of unit ids; one or more `▁` start a word, special units other than `<unk>` are silent."""
        pieces = (self._pieces[i] for i in ids if i not in (0, 2))
        return " ".join("".join(pieces).replace(WORD_START, " ").split())


class BpeTokenizer(Tokenizer):
    """Sentencepiece's pieces.

    Args:
        lang_dir: holds `bpe.model` besides.
    """

    def __init__(self, lang_dir: str | os.PathLike[str]) -> None:
        super().__init__(lang_dir)
        import sentencepiece

        model = Path(lang_dir) / BPE_MODEL
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_file=os.fspath(model))
        except (OSError, RuntimeError) as error:
            raise DataError("cannot load the BPE model", path=model, cure="stage 3 makes it") from error

    def writes_like(self, other: Tokenizer) -> bool:
        """Whether its pieces have the same scores too; the bytes of a model tell besides where it was made."""
        return super().writes_like(other) and isinstance(other, BpeTokenizer) and self._scores() == other._scores()

    def split(self, text: str) -> list[str]:
        """Sentencepiece's best segmentation, and Chinese characters where the rules split them off."""
        return [
            piece
            for part, is_unit in parts_of(text, self.rules)
            for piece in ([part] if is_unit else self._processor.encode(part, out_type=str))
        ]

    def _scores(self) -> list[tuple[str, float]]:
        ids = range(len(self._processor))
        return [(self._processor.id_to_piece(index), self._processor.get_score(index)) for index in ids]


class CharTokenizer(Tokenizer):
    """One unit a character; `▁` stands for the blank between words."""

    def split(self, text: str) -> list[str]:
        """The characters."""
        return list(text.replace(" ", WORD_START))


def parts_of(text: str, rules: TextRules) -> list[tuple[str, bool]]:
    """A text in parts, and whether each is a unit: a Chinese character, by the rules. Sentencepiece has the others."""
    if not rules.split_han:
        return [(text, False)]
    return [(part, HAN.fullmatch(part) is not None) for part in HAN.split(text) if part.strip()]


def word_splitter(units: Iterable[str]) -> Callable[[str], list[str]]:
    """What splits a text of these units into words: an ideograph is one; without units that begin with `▁` each
    character."""
    marked = any(unit.startswith(WORD_START) for unit in units)
    return split_words if marked else _characters


def _characters(text: str) -> list[str]:
    return list("".join(text.split()))


def load_tokenizer(lang_dir: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer of a lang directory: sentencepiece's where it has a model, characters elsewhere.

    Raises:
        DataError: if a file is missing or malformed.
    """
    return BpeTokenizer(lang_dir) if (Path(lang_dir) / BPE_MODEL).exists() else CharTokenizer(lang_dir)


def copy_lang_files(lang_dir: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Copy what a lang directory holds into the folder `target`, each file by rename, and remove what it lacks.

    Raises:
        DataError: if it lacks units or text rules.
    """
    for name in LANG_FILES:
        source, copy = Path(lang_dir) / name, Path(target) / f"{name}.tmp"
        if source.exists():
            shutil.copyfile(source, copy)
            copy.replace(Path(target) / name)
        elif name == BPE_MODEL:
            (Path(target) / name).unlink(missing_ok=True)
        else:
            raise DataError("is missing", path=source, cure="stage 3 makes it")
