"""Text to units and back, by the files of a lang directory."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenet_lite.errors import DataError
from wenet_lite.text.lang_dir import ModelType, make_lang_dir
from wenet_lite.text.rules import TextRules
from wenet_lite.text.tokenizer import Tokenizer, copy_lang_files, load_tokenizer, read_units, word_splitter

TEXT = ["the quick brown fox", "jumps over the lazy dog's", "THE BOX OF FOXES"] * 5


@pytest.fixture(scope="module", params=["unigram", "bpe", "char"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("lang") / "lang"
    assert make_lang_dir(TEXT, TextRules(), 33, request.param, folder) == len(read_units(folder / "units.txt"))
    return load_tokenizer(folder)


@given(words=st.lists(st.sampled_from(["THE", "QUICK", "FOX", "DOG'S", "BOX", "OVER"]), min_size=1, max_size=8))
def test_what_is_encoded_is_decoded(tokenizer: Tokenizer, words: list[str]) -> None:
    ids = tokenizer.encode(" ".join(words))
    assert tokenizer.decode(ids) == " ".join(words)
    assert min(ids) >= 3 and max(ids) < tokenizer.vocab_size


def test_unknown_characters_become_the_unknown_unit(tokenizer: Tokenizer) -> None:
    assert 1 in tokenizer.encode("THE 你") and 1 not in tokenizer.encode("THE FOX")
    assert tokenizer.decode([0, 2, 1]) == "<unk>"


def test_rules_are_applied_once_and_are_idempotent() -> None:
    rules = TextRules(remove=",.")
    assert rules("  Don't, stop.\tnow ") == "DON'T STOP NOW"
    assert rules(rules("e\u0301t\u00e9, Straße")) == rules("e\u0301t\u00e9, Straße") == "ÉTÉ STRASSE"
    assert TextRules(case="lower")("ABC") == "abc" and TextRules(case="keep")("aB") == "aB"


def test_special_units_have_wenets_ids(tokenizer: Tokenizer) -> None:
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
        load_tokenizer(tmp_path)


def test_a_text_without_blanks_is_written_character_by_character(tmp_path: Path) -> None:
    assert make_lang_dir(["今天天气很好", "明天 天气"], TextRules(), 100, "char", tmp_path / "lang") == 3 + 7
    tokenizer = load_tokenizer(tmp_path / "lang")
    assert tokenizer.split("今天 好") == ["今", "天", "▁", "好"]
    assert tokenizer.decode(tokenizer.encode("明天天气")) == "明天天气"
    assert not (tmp_path / "lang" / "bpe.model").exists()


def test_marks_of_words_in_a_row_are_one_blank(tmp_path: Path) -> None:
    make_lang_dir(["AB BA"], TextRules(), 100, "char", tmp_path / "lang")
    tokenizer = load_tokenizer(tmp_path / "lang")
    a, mark = tokenizer.units["A"], tokenizer.units["\u2581"]
    assert tokenizer.decode([mark, a, mark, mark, a, mark]) == "A A"


def test_words_are_split_at_blanks_and_around_ideographs() -> None:
    assert word_splitter(["\u2581THE", "你"])("THE 你好 FOX世") == ["THE", "你", "好", "FOX", "世"]
    assert word_splitter(["你", "A"])("你好 A") == ["你", "好", "A"]


def test_chinese_characters_are_units_between_the_pieces_of_other_words(tmp_path: Path) -> None:
    """As WeNet's BPE tokenizer has them."""
    make_lang_dir([*TEXT, "the 你好 fox世界", "你好"], TextRules(split_han=True), 33, "bpe", tmp_path / "lang")
    tokenizer = load_tokenizer(tmp_path / "lang")
    assert {"你", "好", "世", "界"} < tokenizer.units.keys()
    the, fox = tokenizer.split("THE"), tokenizer.split("FOX")
    assert tokenizer.split("你好 THE 世FOX") == ["你", "好", *the, "世", *fox]
    assert tokenizer.decode(tokenizer.encode("THE 你好世界")) == "THE你好世界"


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_text_of_chinese_characters_alone_wants_no_sentencepiece(tmp_path: Path, kind: ModelType) -> None:
    with pytest.raises(DataError, match=r"all Chinese characters.*\(--model-type char\)"):
        make_lang_dir(["你好 世界", "今天天气"], TextRules(split_han=True), 10, kind, tmp_path / "lang")
    assert list(tmp_path.iterdir()) == []


def test_by_other_rules_sentencepiece_has_a_lone_chinese_character_too(tmp_path: Path) -> None:
    make_lang_dir([*TEXT, "你 好"], TextRules(), 33, "bpe", tmp_path / "lang")
    assert "".join(load_tokenizer(tmp_path / "lang").split("你")) == "▁你"


def test_the_rarest_characters_are_left_out_where_there_are_too_many(tmp_path: Path) -> None:
    make_lang_dir(["天天天气气好"], TextRules(unknown="remove"), 2, "char", tmp_path / "lang")
    tokenizer = load_tokenizer(tmp_path / "lang")
    assert list(tokenizer.units)[3:] == ["天", "气"]
    assert tokenizer.decode(tokenizer.encode("天好气")) == "天气"  # by the rule, what is unknown is removed


@pytest.mark.parametrize("apostrophe, expected", [("straight", "IT'S"), ("keep", "IT’S"), ("remove", "ITS")])
def test_apostrophes_follow_their_rule(apostrophe: str, expected: str) -> None:
    assert TextRules(apostrophe=apostrophe)("it’s") == expected  # type: ignore[arg-type]


def test_copied_lang_files_leave_no_model_of_another_kind_behind(tmp_path: Path) -> None:
    for kind in ("unigram", "char"):
        make_lang_dir(TEXT, TextRules(), 33, kind, tmp_path / kind)  # type: ignore[arg-type]
    target = tmp_path / "exp"
    target.mkdir()
    copy_lang_files(tmp_path / "unigram", target)
    assert (target / "bpe.model").exists()
    copy_lang_files(tmp_path / "char", target)
    assert sorted(path.name for path in target.iterdir()) == ["text_rules.yaml", "units.txt"]


def test_tokenizers_write_alike_by_their_units_and_their_scores(tmp_path: Path) -> None:
    def made(name: str, text: list[str], kind: str = "unigram") -> Tokenizer:
        make_lang_dir(text, TextRules(), 33, kind, tmp_path / name)  # type: ignore[arg-type]
        return load_tokenizer(tmp_path / name)

    first, elsewhere, char = made("first", TEXT), made("elsewhere/again", TEXT), made("char", TEXT, "char")
    assert first.writes_like(elsewhere) and char.writes_like(char)
    assert (tmp_path / "first/bpe.model").read_bytes() != (tmp_path / "elsewhere/again/bpe.model").read_bytes()
    assert not first.writes_like(char) and not char.writes_like(first)
    made("other", [*TEXT, *TEXT[:1] * 9])
    (tmp_path / "other/units.txt").write_bytes((tmp_path / "first/units.txt").read_bytes())
    assert not first.writes_like(load_tokenizer(tmp_path / "other"))


def test_lang_files_are_copied_onto_themselves(tmp_path: Path) -> None:
    make_lang_dir(TEXT, TextRules(), 33, "unigram", tmp_path / "lang")
    before = {path.name: path.read_bytes() for path in (tmp_path / "lang").iterdir()}
    copy_lang_files(tmp_path / "lang", tmp_path / "lang")
    assert {path.name: path.read_bytes() for path in (tmp_path / "lang").iterdir()} == before
