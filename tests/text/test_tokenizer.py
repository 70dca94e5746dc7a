"""Text to units and back, by the files of a lang directory."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenet_lite.errors import DataError
from wenet_lite.text.bpe import make_lang_dir
from wenet_lite.text.rules import TextRules
from wenet_lite.text.tokenizer import BpeTokenizer, read_units

TEXT = ["the quick brown fox", "jumps over the lazy dog's", "THE BOX OF FOXES"] * 5


@pytest.fixture(scope="module", params=["unigram", "bpe", "char"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BpeTokenizer:
    folder = tmp_path_factory.mktemp("lang") / "lang"
    assert make_lang_dir(TEXT, TextRules(), 33, request.param, folder) == len(read_units(folder / "units.txt"))
    return BpeTokenizer(folder)


@given(words=st.lists(st.sampled_from(["THE", "QUICK", "FOX", "DOG'S", "BOX", "OVER"]), min_size=1, max_size=8))
def test_what_is_encoded_is_decoded(tokenizer: BpeTokenizer, words: list[str]) -> None:
    ids = tokenizer.encode(" ".join(words))
    assert tokenizer.decode(ids) == " ".join(words)
    assert min(ids) >= 3 and max(ids) < tokenizer.vocab_size


def test_unknown_characters_become_the_unknown_unit(tokenizer: BpeTokenizer) -> None:
    assert 1 in tokenizer.encode("THE 你")
    assert tokenizer.decode([0, 2, 1]) == "<unk>"


def test_rules_are_applied_once_and_are_idempotent() -> None:
    rules = TextRules(remove=",.")
    assert rules("  Don't, stop.\tnow ") == "DON'T STOP NOW"
    assert rules(rules("e\u0301t\u00e9, Straße")) == rules("e\u0301t\u00e9, Straße") == "ÉTÉ STRASSE"
    assert TextRules(case="lower")("ABC") == "abc" and TextRules(case="keep")("aB") == "aB"


def test_special_units_have_wenets_ids(tokenizer: BpeTokenizer) -> None:
    assert list(tokenizer.units)[:3] == ["<blank>", "<unk>", "<sos/eos>"]
    assert list(tokenizer.units.values()) == list(range(tokenizer.vocab_size))


@pytest.mark.parametrize("content", ["<blank> 0\n<unk> 2\n", "a 0\nb 1\nc 2\n", "<blank> 0\n<unk> 1\nx\n"])
def test_malformed_units_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "units.txt").write_text(content)
    with pytest.raises(DataError, match="units.txt"):
        read_units(tmp_path / "units.txt")


def test_an_impossible_vocabulary_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="sentencepiece") as caught:
        make_lang_dir(["AB"], TextRules(), 5000, "unigram", tmp_path / "lang")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_missing_files_say_which_stage_makes_them(tmp_path: Path) -> None:
    (tmp_path / "text_rules.yaml").write_text("case: upper\n")
    with pytest.raises(DataError, match="stage 3"):
        BpeTokenizer(tmp_path)
