"""Text rules: what is done to a transcript before it becomes units, stated once and applied everywhere."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wenet_lite.config import from_dict, load_yaml

_TYPOGRAPHIC = "’ʼ‘`"


@dataclass(frozen=True)
class TextRules:
    """Attributes:
    case: letter case of the units.
    normalise: Unicode normal form NFC, so that one letter has one spelling.
    apostrophe: `straight` turns the typographic ones (’ ʼ ‘ `) into ', `remove` drops all of them.
    remove: characters dropped, such as punctuation.
    unknown: what becomes of characters that have no unit: the unit <unk>, or nothing.
    split_han: each Chinese character (U+4E00 to U+9FFF) is a unit, and sentencepiece has the text between them (WeNet).
    """

    case: Literal["upper", "lower", "keep"] = "upper"
    normalise: bool = True
    apostrophe: Literal["straight", "keep", "remove"] = "straight"
    remove: str = ""
    unknown: Literal["unit", "remove"] = "unit"
    split_han: bool = False

    def __call__(self, text: str) -> str:
        """Apply the rules; runs of white space become one space, none at the ends."""
        if self.case == "upper":
            text = text.upper()
        elif self.case == "lower":
            text = text.lower()
        if self.normalise:  # after the case, which takes some letters apart
            text = unicodedata.normalize("NFC", text)
        if self.apostrophe == "straight":
            text = text.translate(dict.fromkeys(map(ord, _TYPOGRAPHIC), "'"))
        elif self.apostrophe == "remove":
            text = text.translate(dict.fromkeys(map(ord, _TYPOGRAPHIC + "'")))
        if self.remove:
            text = text.translate({ord(character): None for character in self.remove})
        return " ".join(text.split())


def load_rules(path: str | os.PathLike[str]) -> TextRules:
    """Read text rules from where they are kept.

    Args:
        path: a lang or model directory, its `text_rules.yaml`, or an experiment's YAML, whose `text` section is taken.
    Raises:
        ConfigError: if the file is missing, is not YAML or has an unknown key.
    """
    file = Path(path) / "text_rules.yaml" if Path(path).is_dir() else Path(path)
    tree = load_yaml(file)
    if tree.keys() & {"schema", "text", "model"}:  # an experiment
        return from_dict(TextRules, tree.get("text") or {}, path=file, at="text")
    return from_dict(TextRules, tree, path=file)
