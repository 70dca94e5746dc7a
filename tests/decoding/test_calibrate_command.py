"""`calibrate`, and `recognize --calibration`: confidences that agree with what is right."""

import json
import logging
import random
from pathlib import Path

import pytest
import torch
from toy import Toy
from toy_model import make_untrained

from wenet_lite.bin import calibrate, command, recognize
from wenet_lite.decoding.calibration import read_calibration
from wenet_lite.decoding.confidence import Evidence
from wenet_lite.text.tokenizer import read_units

MODE = "attention_rescoring"


@pytest.fixture(scope="module")
def exp_dir(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    exp_dir = make_untrained(toy, tmp_path_factory.mktemp("untrained"))
    weights = torch.load(exp_dir / "model.pt", weights_only=True)
    weights["ctc.ctc_lo.bias"][read_units(exp_dir / "units.txt")["▁"]] += 6.0
    torch.save(weights, exp_dir / "model.pt")
    return exp_dir


def run(exp_dir: Path, data: Path, result_dir: Path, *options: str) -> list[float]:
    """Confidences of all words."""
    where = ["--exp-dir", exp_dir, "--checkpoint", exp_dir / "model.pt", "--data", data, "--result-dir", result_dir]
    fixed = ["--modes", MODE, "--words", "json", "--device", "cpu", "--num-workers", "0"]
    assert recognize.main([*map(str, where), *fixed, *options]) == 0
    lines = map(json.loads, (result_dir / MODE / "words.jsonl").read_text().splitlines())
    return [word["confidence"] for line in lines for word in line["words"]]


@pytest.fixture(scope="module")
def dev(toy: Toy, exp_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list by four speakers who said a fifth of the words that are recognised."""
    folder, draw = tmp_path_factory.mktemp("dev"), random.Random(0)
    run(exp_dir, toy.folder / "train/data.list", folder)
    heard = dict(line.rstrip().partition(" ")[::2] for line in (folder / MODE / "text").open())
    lines = [json.loads(line) for line in (toy.folder / "train/data.list").open()]
    for i, line in enumerate(lines):
        said = [word if draw.random() < 0.2 else "OTHER" for word in heard[line["key"]].split()]
        line.update(txt=" ".join(said), speaker=f"speaker-{i % 4}")
    (folder / "data.list").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "data.list"


def arguments(exp_dir: Path, data: Path, output: Path) -> list[str]:
    where = ["--exp-dir", exp_dir, "--checkpoint", exp_dir / "model.pt", "--data", data, "--output", output]
    return [*map(str, where), "--device", "cpu"]


def test_confidences_become_what_was_right_on_the_dev_set(
    toy: Toy, exp_dir: Path, dev: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "calibration.json"
    assert calibrate.main(arguments(exp_dir, dev, output)) == 0
    shown = capsys.readouterr().out
    before, after = (float(line.split()[-1]) for line in shown.splitlines() if line.startswith("expected calibration"))
    assert after < 0.2 < before and shown.startswith("before\nbin ") and "\nthe halves: 0." in shown
    raw = run(exp_dir, toy.folder / "train/data.list", tmp_path)
    calibrated = run(exp_dir, toy.folder / "train/data.list", tmp_path, "--calibration", str(output))
    assert len(raw) == len(calibrated) > 48
    assert sum(raw) / len(raw) > 0.4 and sum(calibrated) / len(calibrated) == pytest.approx(0.2, abs=0.1)
    assert json.loads((tmp_path / MODE / "decode.json").read_text())["calibrated"] is True
    assert 0 < read_calibration(output)(Evidence(0.5, 0.5, 0.5)) < 1


def test_transcripts_are_compared_by_the_models_rules(exp_dir: Path, dev: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in dev.open()]
    lowered = [json.dumps({**line, "txt": line["txt"].lower()}) + "\n" for line in lines]
    (tmp_path / "lower.list").write_text("".join(lowered))
    for name, data in (("given.json", dev), ("lower.json", tmp_path / "lower.list")):
        assert calibrate.main(arguments(exp_dir, data, tmp_path / name)) == 0
    assert (tmp_path / "lower.json").read_bytes() == (tmp_path / "given.json").read_bytes()


def test_a_calibration_is_not_part_of_what_a_killed_decode_must_repeat(
    toy: Toy,
    exp_dir: Path,
    dev: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("wenet_lite.decoding.results.write_results", stop)
        with pytest.raises(KeyboardInterrupt):
            run(exp_dir, dev, tmp_path)
    assert calibrate.main(arguments(exp_dir, dev, tmp_path / "calibration.json")) == 0
    with caplog.at_level(logging.INFO):
        assert run(exp_dir, dev, tmp_path, "--calibration", str(tmp_path / "calibration.json"))
    assert "going on: 1 of 1 batches are there" in caplog.text


def test_bad_input_is_one_line(exp_dir: Path, dev: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = tmp_path / "one.list"
    one.write_text("".join(dev.read_text().splitlines(keepends=True)[::4]))
    for expected, data, output in (
        ("measured on other speakers than it is fitted on (give two or more)", one, tmp_path / "c.json"),
        ("cannot be written: its folder does not exist", dev, tmp_path / "none/c.json"),
    ):
        assert command.run(calibrate.main, arguments(exp_dir, data, output)) == 1
        assert expected in capsys.readouterr().err.splitlines()[-1]
        assert not output.exists()
    with pytest.raises(SystemExit, match="1"):
        recognize.main([*arguments(exp_dir, dev, tmp_path)[:6], "--result-dir", "x", "--calibration", "c.json"])
    assert "--calibration is of the confidences of --words" in capsys.readouterr().err
