"""Hotwords as users write them."""

import logging
from pathlib import Path

import pytest

from wenet_lite.config import dump_yaml
from wenet_lite.decoding.hotword_list import read_hotwords, spell, spell_hotwords
from wenet_lite.errors import DataError
from wenet_lite.text.rules import TextRules
from wenet_lite.text.tokenizer import CharTokenizer, Tokenizer, write_units


class Pieces(Tokenizer):
    """Cuts a text into words, most of which are no units."""

    def split(self, text: str) -> list[str]:
        return [f"\u2581{word}" for word in text.split()]


def tokenizer(folder: Path, kind: type[Tokenizer], *units: str) -> Tokenizer:
    write_units(units, folder / "units.txt")
    dump_yaml(TextRules(), folder / "text_rules.yaml")
    return kind(folder)


def test_a_list_has_phrases_and_scores(tmp_path: Path) -> None:
    units = tokenizer(tmp_path, CharTokenizer, "\u2581", "A", "B")
    (tmp_path / "list").write_text("ab\n\n ba  b \t4.5\n", encoding="utf-8")
    first, second = read_hotwords(tmp_path / "list", units, score=1.0)
    assert (first.text, first.tokens, first.score) == ("AB", (3, 4, 5), 1.0)  # the blank before it is heard too
    assert (second.text, second.tokens, second.score) == ("BA B", (3, 5, 4, 3, 5), 4.5)


def test_what_a_model_cannot_spell_is_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    units = tokenizer(tmp_path, CharTokenizer, "\u2581", "A", "B")
    with caplog.at_level(logging.WARNING):
        assert [hotword.text for hotword in spell_hotwords([("A1B%", 1.0), ("AB", 1.0)], units)] == ["AB"]
    assert caplog.messages == [
        "hotword 'A1B%' is left out: the model has no unit with % 1 (write it as the model's transcripts do)"
    ]
    (tmp_path / "list").write_text("%\n", encoding="utf-8")
    with pytest.raises(DataError, match="list: holds no phrase that the model's units can spell"):
        read_hotwords(tmp_path / "list", units)


def test_a_piece_that_is_no_unit_is_spelled_in_the_fewest_units(tmp_path: Path) -> None:
    units = tokenizer(tmp_path, Pieces, "\u2581NEW", "\u2581YO", "\u2581Y", "O", "RK", "R", "K", "YORK")
    spelled = [list(units.units)[token] for token in spell("NEW YORK", units)]
    assert spelled == ["\u2581NEW", "\u2581YO", "RK"]
    with pytest.raises(DataError, match=r"no units of the model spell it"):
        spell("ORK", units)  # no word begins so


def test_ideographs_are_phrases_without_the_mark_of_a_word(tmp_path: Path) -> None:
    units = tokenizer(tmp_path, Pieces, "\u2581", "\u2581NEW", "中", "国")
    assert [list(units.units)[token] for token in spell("中国", units)] == ["中", "国"]
    characters = tokenizer(tmp_path, CharTokenizer, "\u2581", "A", "中", "国")
    assert [list(characters.units)[token] for token in spell("中国", characters)] == ["中", "国"]
    assert [list(characters.units)[token] for token in spell("A中", characters)] == ["\u2581", "A", "中"]


def test_what_has_no_pieces_is_named_and_a_mark_of_byte_order_is_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    units = tokenizer(tmp_path, Pieces, "\u2581", "A")
    units.split = lambda text: []  # type: ignore[method-assign]  # as sentencepiece of characters that it drops
    assert spell_hotwords(["\u200b"], units) == []
    assert "nothing of it is written in units" in caplog.text
    (tmp_path / "list").write_bytes("\ufeffA\nA\n".encode())
    phrases = read_hotwords(tmp_path / "list", tokenizer(tmp_path, CharTokenizer, "\u2581", "A"))
    assert phrases[0] == phrases[1]


@pytest.mark.parametrize("line", ["AB\tmuch", "AB\tnan", "AB\t-1"])
def test_a_score_that_is_none_is_an_error_with_its_line(tmp_path: Path, line: str) -> None:
    units = tokenizer(tmp_path, CharTokenizer, "\u2581", "A", "B")
    (tmp_path / "list").write_text(f"A\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match="list:2: '(much|nan|-1)' after the tab is no score from 0"):
        read_hotwords(tmp_path / "list", units)
