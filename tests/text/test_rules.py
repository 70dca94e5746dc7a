"""Text rules are found wherever they are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from wenet_lite.errors import ConfigError
from wenet_lite.text.lang_dir import make_lang_dir
from wenet_lite.text.rules import TextRules, load_rules


def test_rules_are_read_from_a_lang_directory_its_file_and_an_experiment(tmp_path: Path) -> None:
    rules = TextRules(case="lower", remove="!")
    make_lang_dir(["abc abc"], rules, 10, "char", tmp_path / "lang")
    (tmp_path / "train.yaml").write_text("schema: 1\ntext: {case: lower, remove: '!'}\nmodel: {}\n")
    (tmp_path / "plain.yaml").write_text("schema: 1\nmodel: {}\n")
    assert load_rules(tmp_path / "lang") == load_rules(tmp_path / "lang/text_rules.yaml") == rules
    assert load_rules(tmp_path / "train.yaml") == rules
    assert load_rules(tmp_path / "plain.yaml") == TextRules()


def test_a_folder_without_rules_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="text_rules.yaml: cannot read"):
        load_rules(tmp_path)
