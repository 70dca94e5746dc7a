"""A language model through the commands: train_lm, tune_lm, recognize, rescore_nbest."""

import json
import logging
from pathlib import Path

import pytest
import torch
from toy import Toy
from toy_model import make_untrained

from wenet_lite.bin import command, recognize, rescore_nbest, train_lm, tune_lm
from wenet_lite.config import dump_yaml
from wenet_lite.decoding.ctc_prefix_beam import CtcPrefixBeamSearch
from wenet_lite.decoding.fusion_files import load_fusion
from wenet_lite.decoding.fusion_tuning import FusionWeights, _descend
from wenet_lite.decoding.ngram_arpa import read_arpa
from wenet_lite.decoding.options import DecodingOptions
from wenet_lite.errors import DataError
from wenet_lite.text.rules import TextRules
from wenet_lite.text.tokenizer import CharTokenizer, write_units


@pytest.fixture(scope="module")
def exp_dir(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model, and a language model of the training text in lm.arpa."""
    folder = make_untrained(toy, tmp_path_factory.mktemp("untrained"))
    text = ["--text", str(toy.folder / "train/text"), "--rules", str(toy.folder / "lang")]
    assert train_lm.main([*text, "--order", "2", "--output", str(folder / "lm.arpa")]) == 0
    return folder


def model(exp_dir: Path, data: Path) -> list[str]:
    where = {"exp-dir": exp_dir, "checkpoint": exp_dir / "model.pt", "data": data, "device": "cpu"}
    return [argument for name, value in where.items() for argument in (f"--{name}", str(value))]


def test_tuned_weights_are_used(toy: Toy, exp_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, data = tmp_path / "weights.json", toy.folder / "dev/data.list"
    tune = [*model(exp_dir, data), "--lm", str(exp_dir / "lm.arpa"), "--output", str(weights)]
    assert tune_lm.main(tune) == 0
    tuned = FusionWeights.read(weights)
    assert tuned.num_utterances == 6 and tuned.wer <= tuned.wer_without
    assert f"{tuned.wer_without:.2f} % without the language model, {tuned.wer:.2f} % with it" in capsys.readouterr().out
    decode = [*model(exp_dir, data), "--modes", "ctc_prefix_beam_search", "attention_rescoring"]
    options = ["--lm", str(exp_dir / "lm.arpa"), "--lm-weights", str(weights), "--result-dir", str(tmp_path)]
    assert recognize.main([*decode, *options]) == 0
    folder = tmp_path / "ctc_prefix_beam_search_lm"
    from wenet_lite.scoring.wer import score_files

    assert score_files(toy.folder / "dev/text", folder / "text").counts.rate == pytest.approx(tuned.wer)
    assert json.loads((folder / "decode.json").read_text())["lm"] == {
        "lm_weight": tuned.lm_weight, "word_bonus": tuned.word_bonus
    }  # fmt: skip
    assert (tmp_path / "attention_rescoring_lm/text").exists()


def test_transcripts_are_compared_by_the_models_rules(toy: Toy, exp_dir: Path, tmp_path: Path) -> None:
    given = toy.folder / "dev/data.list"
    lines = [json.loads(line) for line in given.open()]
    lowered = [json.dumps({**line, "txt": line["txt"].lower()}) + "\n" for line in lines]
    (tmp_path / "lower.list").write_text("".join(lowered))
    found = []
    for name, data in (("given.json", given), ("lower.json", tmp_path / "lower.list")):
        tune = [*model(exp_dir, data), "--lm", str(exp_dir / "lm.arpa"), "--output", str(tmp_path / name)]
        assert tune_lm.main(tune) == 0
        found.append(FusionWeights.read(tmp_path / name))
    assert found[0] == found[1]


def test_a_hotword_is_heard(toy: Toy, exp_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "hotwords").write_text("SOL\t40\n")
    decode = [*model(exp_dir, toy.folder / "dev/data.list"), "--modes", "ctc_prefix_beam_search"]
    assert recognize.main([*decode, "--result-dir", str(tmp_path)]) == 0
    with_hotwords = ["--hotwords", str(tmp_path / "hotwords"), "--result-dir", str(tmp_path)]
    assert recognize.main([*decode, *with_hotwords]) == 0
    without, biased = (
        (tmp_path / f"ctc_prefix_beam_search{suffix}" / "text").read_text() for suffix in ("", "_hotwords")
    )
    assert "SOL" not in without and biased.count("SOL") >= 6


def test_nbest_lists_are_reordered(toy: Toy, exp_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decode = [*model(exp_dir, toy.folder / "dev/data.list"), "--modes", "ctc_prefix_beam_search"]
    assert recognize.main([*decode, "--result-dir", str(tmp_path)]) == 0
    nbest = str(tmp_path / "ctc_prefix_beam_search" / "nbest.jsonl")
    common = ["--nbest", nbest, "--lm", str(exp_dir / "lm.arpa"), "--rules", str(toy.folder / "lang")]
    tuned, again = tmp_path / "tuned", tmp_path / "again"
    tune = ["--tune", str(toy.folder / "dev/text"), str(tmp_path / "weights.json")]
    assert rescore_nbest.main([*common, *tune, "--output", str(tuned)]) == 0
    assert "% before, " in capsys.readouterr().out
    assert rescore_nbest.main([*common, "--weights", str(tmp_path / "weights.json"), "--output", str(again)]) == 0
    assert tuned.read_bytes() == again.read_bytes() and len(tuned.read_text().splitlines()) == 6


def test_a_language_model_that_does_not_fit_is_told(
    toy: Toy, exp_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "text").write_text("".join(f"a{i} do re mi fa sol\n" for i in range(9)))
    assert train_lm.main(["--text", str(tmp_path / "text"), "--output", str(tmp_path / "lower.arpa")]) == 0
    tune = [*model(exp_dir, toy.folder / "dev/data.list"), "--lm", str(tmp_path / "lower.arpa")]
    with caplog.at_level(logging.WARNING):
        assert tune_lm.main([*tune, "--output", str(tmp_path / "weights.json")]) == 0
    assert any("lacks 100.0 % of the words" in line and "lower case" in line for line in caplog.messages)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--lm", "lm.bin"], "lm.bin: is no .arpa or .arpa.gz (KenLM's files serve rescore_nbest)"),
        (["--lm", "gone.arpa"], "gone.arpa: cannot read the file: No such file or directory"),
        (["--lm", "bad.arpa"], "bad.arpa"),
        (["--hotwords", "gone.txt"], "gone.txt: cannot read the file: No such file or directory"),
        (["--lm", "gone.arpa", "--lm-weight", "-1"], "lm_weight and hotword_score cannot be negative"),
        (["--lm", "gone.arpa", "--word-bonus", "inf"], "weights, bonuses and penalties must be numbers"),
        (["--lm", "gone.arpa", "--word-bonus", "nan"], "'decoding.word_bonus' must be of type float, got nan"),
        (
            ["--lm", "gone.arpa", "--lm-weights", "gone.json"],
            "gone.json: cannot read the file: No such file or directory (tune_lm writes it)",
        ),
    ],
)
def test_bad_files_are_one_line(
    toy: Toy, exp_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    options: list[str], line: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.arpa").write_text("\\data\\\nngram 1=two\n")
    arguments = [*model(exp_dir, toy.folder / "dev/data.list"), "--result-dir", str(tmp_path / "out"), *options]
    assert command.run(recognize.main, arguments) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert line in said and not (tmp_path / "out").exists()


def test_weights_go_downhill_to_the_lowest_point() -> None:
    def bowl(weight: float, bonus: float) -> int:
        return round(100 * (abs(weight - 0.85) + abs(bonus + 1.25)))

    assert _descend(bowl) == ((0.85, -1.25), 0)
    assert _descend(lambda weight, bonus: round(100 * weight))[0][0] == 0.0  # never below


def test_weights_of_another_kind_are_refused(tmp_path: Path) -> None:
    for content, complaint in (("{", "is not JSON"), ("{}", "has no weights of schema 1")):
        (tmp_path / "weights.json").write_text(content)
        with pytest.raises(DataError, match=complaint):
            FusionWeights.read(tmp_path / "weights.json")


def test_characters_without_word_marks_are_words_to_a_language_model(tmp_path: Path) -> None:
    """Chinese: transcripts have no blanks, and every unit is a word."""
    lang = tmp_path / "lang"
    lang.mkdir()
    write_units("\u4f60\u597d\u4e16\u754c", lang / "units.txt")
    dump_yaml(TextRules(), lang / "text_rules.yaml")
    (tmp_path / "text").write_text("a \u4f60\u597d\u4e16\u754c\nb \u4f60\u597d\n", encoding="utf-8")
    output = tmp_path / "lm.arpa"
    assert train_lm.main(["--text", str(tmp_path / "text"), "--rules", str(lang), "--output", str(output)]) == 0
    lm = read_arpa(output)
    assert {"\u4f60", "\u597d", "\u4e16", "\u754c"} < lm.words.keys() and len(lm.words) == 7
    tokenizer = CharTokenizer(lang)
    fusion = load_fusion(tokenizer, DecodingOptions(), None, output, ["\u4f60\u597d"])
    log_probs = torch.full((1, 2, 7), -9.0)
    log_probs[0, [0, 1], [3, 4]] = 0.0
    ((hyp, *_),) = CtcPrefixBeamSearch(4, 0)(log_probs, torch.tensor([2]), fusion)
    assert tokenizer.decode(hyp.tokens) == "\u4f60\u597d"
    assert hyp.extra == pytest.approx(0.5 * float(lm.score(["\u4f60 \u597d"])[0]), abs=1e-4)
