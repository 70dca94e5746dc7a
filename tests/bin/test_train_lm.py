"""`wenet-lite train_lm`: from transcripts to an ARPA file."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from wenet_lite.bin import command, train_lm
from wenet_lite.decoding.ngram_arpa import read_arpa

TRANSCRIPTS = "u1 the cat sat\nu2 the cat’s mat\nu3\nu4 a dog sat\n"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text").write_text(TRANSCRIPTS)
    return tmp_path / "text"


def test_a_model_is_written_and_measured(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "more.gz").write_bytes(gzip.compress(b"the dog sat\n\nthe owl sat\n"))
    (tmp_path / "text_rules.yaml").write_text("case: upper\n")
    (tmp_path / "dev").write_text("v1 the zebra sat\n")
    output = tmp_path / "lm.arpa.gz"
    arguments = ["--text", str(text), "--plain-text", str(tmp_path / "more.gz"), "--order", "2"]
    arguments += ["--rules", str(tmp_path), "--dev-text", str(tmp_path / "dev"), "--output", str(output)]
    assert command.run(train_lm.main, arguments) == 0
    lm = read_arpa(output)
    assert set(lm.words) - {"<s>", "</s>", "<unk>"} == {"THE", "CAT", "SAT", "CAT'S", "MAT", "A", "DOG", "OWL"}
    lines = capsys.readouterr().out.splitlines()
    score = lm.evaluate(["THE ZEBRA SAT"])
    assert lines == [
        "1-grams: 11",
        "2-grams: 13",
        f"perplexity: {score.perplexity:.1f}, without unknown words {score.known_perplexity:.1f}",
        "OOV rate: 33.33 % (1 of 3 words)",
    ]


def test_without_rules_the_text_stays_as_it_is(text: Path, tmp_path: Path) -> None:
    assert command.run(train_lm.main, ["--text", str(text), "--output", str(tmp_path / "lm.arpa")]) == 0
    lm = read_arpa(tmp_path / "lm.arpa")
    assert "cat’s" in lm.words and "u1" not in lm.words and lm.order == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "{}/text", "--prune", "1"], "train_lm: prune must begin with 0"),
        (["--text", "{}/none"], "/none: cannot read the file"),
        (["--text", "{}/plain"], "/plain:3: has the utterance 'the' a second time (is it plain text, without"),
        (["--text", "{}/text", "--rules", "{}/none.yaml"], "/none.yaml: cannot read the configuration"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_file(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "plain").write_text("the cat sat\na dog sat\nthe dog sat\n")
    arguments = [argument.format(tmp_path) for argument in arguments]
    assert command.run(train_lm.main, [*arguments, "--output", str(tmp_path / "lm.arpa")]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.glob("lm.arpa*"))
