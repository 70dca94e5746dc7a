"""A run is one picture, whatever it measured and however it ended."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from wenet_lite.bin import command, plot_training
from wenet_lite.errors import DataError, WenetLiteError
from wenet_lite.training.metrics import EXPERT, read_runs
from wenet_lite.training.plot import COLOURS, _figure, draw_runs

TRAIN = {"loss": 3.0, "ctc": 4.0, "ctc_layer3": 5.0, "attention": 2.0, "accuracy": 0.5, "learning_rate": 0.001}
MACHINE = {"grad_norm": 9.0, "times_real_time": 100.0, "padding": 0.01}
LATER = {"data_wait": 0.1, "memory_mb": 2000.0, "bad_updates": 1}
EXPERTS = {f"{EXPERT}{layer}_{expert}": 0.5 for layer in (1, 2) for expert in (0, 1)}


def write_run(exp_dir: Path, train: dict, dev: dict, updates: int = 4) -> Path:
    exp_dir.mkdir(parents=True)
    records = [{"kind": "train", "update": 10 * i, "epoch": i / updates, **train} for i in range(1, updates + 1)]
    records.append({"kind": "dev", "update": 10 * updates, "epoch": 1.0, **dev})
    (exp_dir / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return exp_dir


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", {**TRAIN, **MACHINE}, {"loss": 3.5, "ctc": 4.5, "accuracy": 0.4})


def titles(*exp_dirs: Path) -> set[str]:
    return {axes.get_title(loc="left") for axes in _figure(read_runs(exp_dirs)).axes}


def curves(title: str, *exp_dirs: Path) -> list[list[float]]:
    """Values of each line of a panel that has any."""
    panel = next(axes for axes in _figure(read_runs(exp_dirs)).axes if axes.get_title(loc="left").startswith(title))
    return [list(line.get_ydata()) for line in panel.lines if len(line.get_ydata())]


def test_the_command_writes_a_picture_of_the_promised_width(run: Path, tmp_path: Path) -> None:
    assert plot_training.main([str(run), "--output", str(tmp_path / "run.png")]) == 0
    picture = imread(tmp_path / "run.png")
    assert picture.shape[1] == 1600
    assert {path.name for path in tmp_path.iterdir()} == {"run", "run.png"}


def test_what_was_not_measured_has_no_panel(run: Path, tmp_path: Path) -> None:
    before = titles(run)
    complete = write_run(tmp_path / "complete", {**TRAIN, **MACHINE, **LATER}, {"loss": 3.0, "wer": 12.5})
    added = {"Word error rate, %", "Wait for data, % of time", "Memory, GB"}
    assert titles(complete) == before | added and not before & added


def test_values_are_drawn_in_the_units_of_the_title(run: Path, tmp_path: Path) -> None:
    train, dev, best = curves("Token accuracy, %", run)
    assert train == [50.0] * 4 and dev == best == [40.0]
    assert curves("Memory, GB", write_run(tmp_path / "later", LATER, {})) == [[2.0] * 4]


def test_one_run_shows_its_heads_and_several_are_compared_by_their_last_layers(run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", {**TRAIN, "ctc": 1.0}, {})
    assert [5.0] * 4 in curves("CTC", run)
    assert curves("CTC", run, other) == [[4.0] * 4, [4.5], [4.5], [1.0] * 4]


def test_every_expert_of_the_meter_has_its_row(tmp_path: Path) -> None:
    shares = dict(zip(EXPERTS, (0.9, 0.1, 0.3, 0.7)))
    figure = _figure(read_runs([write_run(tmp_path / "moe", {**TRAIN, **shares}, {})]))
    heat_map = next(axes for axes in figure.axes if axes.get_title(loc="left").startswith("Use of experts"))
    np.testing.assert_allclose(heat_map.collections[0].get_array()[:, 0], [90, 10, 30, 70])
    assert [label.get_text() for label in heat_map.get_yticklabels()] == ["layer 1", "layer 2"]


def test_skipped_updates_are_counted_and_a_gradient_that_is_not_finite_is_a_gap(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"accuracy": float("nan"), "grad_norm": float("inf"), "bad_updates": 2}, {})
    panel = next(axes for axes in _figure(read_runs([run])).axes if axes.get_title(loc="left") == "Gradient norm")
    assert panel.get_title(loc="right") == "× 8 skipped"
    assert np.isnan(panel.lines[0].get_ydata()).all()
    draw_runs(read_runs([run]), tmp_path / "run.svg")


@pytest.mark.parametrize("cut", [1, 30])
def test_a_line_torn_by_a_kill_is_left_out(run: Path, cut: int) -> None:
    whole = read_runs([run])[0]
    text = (run / "metrics.jsonl").read_text()
    (run / "metrics.jsonl").write_text(text + text.splitlines()[0][:cut] + "\n" * (cut == 30) + text)
    again = read_runs([run])[0].records
    assert len(again) == 2 * len(whole.records) - (cut == 1)


def test_a_wide_range_of_losses_has_a_logarithmic_axis(run: Path, tmp_path: Path) -> None:
    steep = write_run(tmp_path / "steep", {"loss": 400.0}, {"loss": 2.0})
    assert [_figure(read_runs([path])).axes[0].get_yscale() for path in (run, steep)] == ["linear", "log"]


def test_the_title_tells_the_configuration_and_runs_of_one_name_are_told_by_their_path(run: Path) -> None:
    layers = "encoder: {type: transformer, num_blocks: 6, output_size: 144}"
    (run / "train.yaml").write_text(f"model: {{{layers}, multi_level: {{layers: [3]}}}}\ntraining: {{max_epochs: 12}}")
    assert read_runs([run])[0].facts == "transformer, 6 layers of 144, heads on layer 3, epoch 1 of 12"
    other = write_run(run.parent / "b/run", TRAIN, {})
    assert [found.name for found in read_runs([run, other])] == [str(run), str(other)]


def test_what_is_no_run_is_told_in_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match=r"none/metrics.jsonl: is missing \(name the folder of a run"):
        read_runs([tmp_path / "none"])
    (run / "metrics.jsonl").write_text('{"kind": "tr')
    with pytest.raises(DataError, match="has no records"):
        read_runs([run])
    (run / "metrics.jsonl").write_text('{"wer": 3}\n')
    with pytest.raises(DataError, match="metrics.jsonl:1: is not a record of training"):
        read_runs([run])
    with pytest.raises(SystemExit):
        plot_training.main([str(run), "--output", "run.doc"])
    assert capsys.readouterr().err.count("\n") == 1


def test_more_runs_than_colours_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(WenetLiteError, match=f"draw at most {len(COLOURS)} at once"):
        draw_runs(read_runs([run]) * (len(COLOURS) + 1), tmp_path / "run.png")


def test_without_matplotlib_the_cure_is_told(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "wenet_lite.training.plot")
    assert command.run(plot_training.main, [str(run), "--output", "run.png"]) == 1
    told = "plot_training: drawing needs matplotlib, which is not installed (pip install matplotlib)\n"
    assert capsys.readouterr().err == told
