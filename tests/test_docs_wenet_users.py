"""The page for WeNet's users names options and keys that are there, and each key that the import knows."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from toy import ROOT

from wenet_lite.bin.main import COMMANDS
from wenet_lite.config import apply_overrides, from_dict, to_dict
from wenet_lite.experiment import ExperimentConfig
from wenet_lite.features.spec_augment import SpecSubConfig, SpecTrimConfig
from wenet_lite.interchange.wenet_config import _DECODER, _ENCODERS, _FBANK, _IGNORED, _MODEL, _OF_TRAINING, _USUAL
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.mixture import MixtureConfig
from wenet_lite.model.model_config import ModelConfig
from wenet_lite.training.training_config import TrainingConfig

PAGE = (ROOT / "docs/wenet_users.md").read_text(encoding="utf-8")
ALL_SECTIONS = ExperimentConfig(
    model=ModelConfig(encoder=EncoderConfig(moe=MixtureConfig())),
    training=TrainingConfig(spec_sub=SpecSubConfig(), spec_trim=SpecTrimConfig()),
)
"""A configuration with the optional sections that the page tells of."""
KEY = r"(?:--set )?((?:text|features|model|batch|augment|training)(?:\.\w+)+|seed)(?:(?:: |=)(.+))?"


@dataclass(frozen=True)
class Row:
    """Attributes:
    heading: under which the row of a table stands.
    theirs, ours: its cells.
    """

    heading: str
    theirs: str
    ours: str


def rows() -> Iterator[Row]:
    """All rows of all tables, their heads left out."""
    heading = ""
    for line in PAGE.splitlines():
        if line.startswith("#"):
            heading = line.strip("# ")
        elif line.startswith("| ") and not re.match(r"\| (theirs|option of theirs) \|", line):
            theirs, ours = (cell.strip() for cell in line.strip("|").split(" | ")[:2])
            yield Row(heading, theirs, ours)


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def options_of(command: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    with pytest.raises(SystemExit):
        importlib.import_module(f"wenet_lite.bin.{command}").main(["--help"])
    return set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))


def named_options(row: Row) -> Iterator[tuple[str, str]]:
    """Command and option of each option among ours; a command is named before it, or else by the heading."""
    of_heading = "".join(re.findall(r": `(\w+)`$", row.heading)) or "train"
    for span in quoted(row.ours):
        found = re.match(r"(?:(\w+) )?(--[a-z-]+)", span)
        if found:
            yield found[1] or of_heading, found[2]


def test_options_exist(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = "Stages of run.sh"
    named = [option for row in rows() if row.heading != recipe for option in named_options(row)]
    assert len(named) > 60
    known = {command: options_of(command, capsys) for command, _ in named}
    assert [f"{command} {option}" for command, option in named if option not in known[command]] == []
    help_message = (ROOT / "egs/librispeech/run.sh").read_text(encoding="utf-8")
    for row in rows():
        if row.heading == recipe:
            for _, option in named_options(row):
                assert f"  {option} " in help_message, option


def test_commands_of_headings_exist() -> None:
    named = re.findall(r"^### .*: `(\w+)`$", PAGE, re.MULTILINE)
    assert len(named) == 5
    assert set(named) <= set(COMMANDS)


def setting(key: str, value: str | None = None) -> str:
    """What --set takes; a key without a value keeps its own. KeyError where there is no such key."""
    node: Any = to_dict(ALL_SECTIONS)
    for part in key.split("."):
        node = node[part]
    return f"{key}={value or json.dumps(node)}"


def named_settings() -> Iterator[str]:
    """Each configuration key among ours; of a row with "the same" those that its left side names."""
    for row in rows():
        same = re.match(r"the same, below `([\w.]+)`", row.ours)
        if same:
            yield from (setting(f"{same[1]}.{key}") for key in quoted(row.theirs.split(" of ")[0]))
        for span in quoted(row.ours):
            found = re.fullmatch(KEY, span)
            if found and not found[1].endswith((".pt", ".zip")):
                yield setting(found[1], found[2])


def test_configuration_keys_exist() -> None:
    settings = list(named_settings())
    assert len(settings) > 60
    for override in settings:
        assert from_dict(ExperimentConfig, apply_overrides(to_dict(ALL_SECTIONS), [override]))


def test_the_keys_that_the_import_knows_are_on_the_page() -> None:
    theirs: dict[str, set[str]] = {}
    for row in rows():
        theirs.setdefault(row.heading, set()).update(span.split(":")[0] for span in quoted(row.theirs))
    for section in _ENCODERS.values():
        assert {*section.kept, *section.fixed, *_IGNORED, "selfattention_layer_type"} <= theirs["encoder_conf"]
    assert {*_DECODER.kept, *_DECODER.fixed} <= theirs["decoder_conf"]
    assert {*_MODEL.kept, *_MODEL.fixed} <= theirs["model_conf"]
    assert _OF_TRAINING.keys() <= theirs["decoder_conf"] | theirs["model_conf"]
    of_data = {key.removeprefix("dataset_conf.") for key in _USUAL if key.startswith("dataset_conf.")}
    assert {*of_data, *(f"fbank_conf.{key}" for key in (*_FBANK.kept, *_FBANK.fixed))} <= theirs["dataset_conf"]
    assert {key for key in _USUAL if not key.startswith("dataset_conf.")} <= theirs["The top level"]
