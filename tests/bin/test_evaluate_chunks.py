"""`evaluate_chunks`: the table agrees with recognition and scoring, and mistakes are told in one line."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread
from toy import Toy
from toy_model import make_untrained

from wenet_lite.bin import command, evaluate_chunks, recognize
from wenet_lite.scoring.bootstrap import wer_interval
from wenet_lite.scoring.chunk_plot import _figure
from wenet_lite.scoring.chunk_report import ChunkRow
from wenet_lite.scoring.wer import score_files

MODE = "ctc_prefix_beam_search"
CONTEXTS = [(-1, -1), (4, -1), (4, 2), (2, -1), (2, 2)]


@pytest.fixture(scope="module")
def exp_dir(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_untrained(toy, tmp_path_factory.mktemp("untrained"))


def model_and_data(toy: Toy, exp_dir: Path, result_dir: Path) -> list[str]:
    where = ["--exp-dir", exp_dir, "--checkpoint", exp_dir / "model.pt", "--result-dir", result_dir]
    return [*map(str, [*where, "--data", toy.folder / "train/data.list"]), "--device", "cpu", "--num-workers", "0"]


def arguments(toy: Toy, exp_dir: Path, result_dir: Path, *options: str) -> list[str]:
    ref = str(toy.folder / "train/text")
    return [*model_and_data(toy, exp_dir, result_dir), "--ref", ref, "--mode", MODE, *options]


@pytest.fixture(scope="module")
def recognized(toy: Toy, exp_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `recognize` hears; the text of whole utterances serves as the reference, for the model has learnt none."""
    result_dir = tmp_path_factory.mktemp("recognized")
    for chunk, left in CONTEXTS:
        context = ("--chunk-size", str(chunk), "--left-chunks", str(left))
        assert recognize.main([*model_and_data(toy, exp_dir, result_dir), "--modes", MODE, *context]) == 0
    return result_dir


def rows(result_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (result_dir / "chunks.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def evaluated(toy: Toy, exp_dir: Path, recognized: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    result_dir = tmp_path_factory.mktemp("evaluated")
    options = ["--chunks", "-1", "4", "2", "--left-chunks", "-1", "2", "--streaming-utterances", "7"]
    ref = ["--ref", str(recognized / MODE / "text")]
    assert evaluate_chunks.main([*arguments(toy, exp_dir, result_dir), *ref, *options]) == 0
    return result_dir


def test_every_pair_is_there_and_whole_utterances_once(evaluated: Path) -> None:
    assert [(row["chunk_size"], row["num_left_chunks"]) for row in rows(evaluated)] == CONTEXTS
    assert {row["schema"] for row in rows(evaluated)} == {1}
    assert {row["num_streamed"] for row in rows(evaluated)} == {7}
    assert imread(evaluated / "chunks.png").ndim == 3


def test_error_rates_are_those_of_recognize_and_score(evaluated: Path, recognized: Path) -> None:
    """Of utterances that are heard as streams, and of those that are heard in batches."""
    wers = []
    for row, (chunk, left) in zip(rows(evaluated), CONTEXTS):
        folder = MODE if chunk < 0 else f"{MODE}_chunk{chunk}_left{left}"
        scores = score_files(recognized / MODE / "text", recognized / folder / "text")
        interval = wer_interval(scores)
        found = [row[name] for name in ("wer", "wer_low", "wer_high", "num_words", "num_utterances")]
        assert found == [scores.counts.rate, interval.low, interval.high, scores.counts.ref_words, 24]
        wers.append(row["wer"])
    assert wers[0] == 0 and len(set(wers)) > 2  # something was compared


def test_where_no_unit_begins_a_word_characters_are_counted(
    toy: Toy, exp_dir: Path, recognized: Path, tmp_path: Path
) -> None:
    shutil.copytree(exp_dir, tmp_path / "exp")
    units = (tmp_path / "exp/units.txt").read_text()
    (tmp_path / "exp/units.txt").write_text(units.replace("\u2581", "#"))
    options = ["--chunks", "-1", "--ref", str(recognized / MODE / "text")]
    assert evaluate_chunks.main([*arguments(toy, tmp_path / "exp", tmp_path), *options]) == 0
    texts = [line.partition(" ")[2] for line in (recognized / MODE / "text").read_text().splitlines()]
    assert rows(tmp_path)[0]["num_words"] == sum(len("".join(text.split())) for text in texts)


def test_a_list_of_streams_alone_has_the_same_error_rates(
    toy: Toy, exp_dir: Path, evaluated: Path, recognized: Path, tmp_path: Path
) -> None:
    options = ["--chunks", "4", "2", "--left-chunks", "2", "--ref", str(recognized / MODE / "text")]
    assert evaluate_chunks.main([*arguments(toy, exp_dir, tmp_path), *options]) == 0
    _, _, long, _, short = rows(evaluated)
    assert [row["wer"] for row in rows(tmp_path)] == [long["wer"], short["wer"]]
    assert {row["num_streamed"] for row in rows(tmp_path)} == {24}


def test_latencies_are_those_of_the_chunk(evaluated: Path) -> None:
    whole, long, _, short, _ = rows(evaluated)
    # frames of 40 ms; the last one of a chunk needs 60 ms and a window of 25 ms after its first
    assert (long["wait_mean_ms"], long["wait_worst_ms"]) == (125.0, 205)
    assert (short["wait_mean_ms"], short["wait_worst_ms"]) == (85.0, 125)
    assert whole["wait_mean_ms"] is None and whole["flicker"] == 0
    assert whole["emission_median_ms"] > long["emission_median_ms"]


def test_the_screen_shows_the_table_of_the_file(
    toy: Toy, exp_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate_chunks.main(arguments(toy, exp_dir, tmp_path, "--chunks", "4", "--left-chunks", "2")) == 0
    shown = capsys.readouterr().out
    assert shown == (tmp_path / "chunks.md").read_text()
    row = rows(tmp_path)[0]
    cells = [cell.strip() for cell in shown.splitlines()[2].split("|")[1:-1]]
    assert cells[:3] == ["160 ms", "320 ms", f"{row['wer']:.2f}"]
    assert cells[6:] == [f"{row['emission_median_ms']:.0f}", f"{row['emission_95_ms']:.0f}", f"{row['flicker']:.1f}"]


def test_the_picture_has_a_line_a_history_and_a_bar_a_chunk(evaluated: Path) -> None:
    found = [ChunkRow(**{name: value for name, value in row.items() if name != "schema"}) for row in rows(evaluated)]
    by_wait, by_emission = _figure(found).axes
    labels = by_wait.get_legend_handles_labels()[1]
    assert labels == ["whole utterances", "all of the past", "2 chunks of history"]
    for axes in (by_wait, by_emission):
        error_bars = [container for container in axes.containers if container.get_label() in labels]
        assert [list(bars[0].get_ydata()) for bars in error_bars] == [
            [row.wer for row in reversed(found) if row.chunk_size > 0 and row.num_left_chunks == left]
            for left in (-1, 2)
        ]
    assert [text.get_text() for text in by_wait.texts] == ["160 ms", "80 ms"]


def test_without_matplotlib_there_is_the_table_and_a_line(
    toy: Toy,
    exp_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "wenet_lite.scoring.chunk_plot")
    assert evaluate_chunks.main(arguments(toy, exp_dir, tmp_path, "--chunks", "4")) == 0
    assert capsys.readouterr().out.count("\n") == 4
    (told,) = [record.getMessage() for record in caplog.records if "not drawn" in record.getMessage()]
    assert told.endswith("drawing needs matplotlib, which is not installed (pip install matplotlib)")
    assert {path.name for path in tmp_path.iterdir()} == {"chunks.md", "chunks.jsonl"}


def error_of(capsys: pytest.CaptureFixture[str], argv: list[str]) -> str:
    assert command.run(evaluate_chunks.main, argv) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


def test_mistakes_are_told_in_one_line(
    toy: Toy, exp_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offline = make_untrained(toy, tmp_path / "offline", "model.encoder.use_dynamic_chunk=false")
    assert "was trained on whole utterances" in error_of(capsys, arguments(toy, offline, tmp_path))
    chunks = ("model.encoder.use_dynamic_chunk=false", "model.encoder.static_chunk_size=4")
    static = make_untrained(toy, tmp_path / "static", *chunks)
    assert "never whole (take --chunks 4)" in error_of(capsys, arguments(toy, static, tmp_path))
    few = tmp_path / "text"
    few.write_text("train-00 DO\n")
    told = error_of(capsys, [*arguments(toy, exp_dir, tmp_path), "--ref", str(few)])
    assert "23 of 24 utterances have no reference: train-01, train-02" in told
    assert "chunks must be -1 or at least 1" in error_of(capsys, arguments(toy, exp_dir, tmp_path, "--chunks", "0"))
    assert "left_chunks must be at least -1" in error_of(
        capsys, arguments(toy, exp_dir, tmp_path, "--left-chunks", "-2")
    )
    assert "streaming_utterances must be at least 1" in error_of(
        capsys, arguments(toy, exp_dir, tmp_path, "--streaming-utterances", "0")
    )


@pytest.mark.parametrize("num_streamed", ["1", "24"])
def test_what_cannot_be_heard_is_named_once_and_counts_as_deletions(
    toy: Toy, exp_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, num_streamed: str
) -> None:
    lines = (toy.folder / "train/data.list").read_text().splitlines()
    lost = [line.replace("train-03.wav", "lost.wav") for line in lines[:5]]
    (tmp_path / "data.list").write_text("".join(line + "\n" for line in lost))
    options = ("--data", str(tmp_path / "data.list"), "--chunks", "4", "2", "--streaming-utterances", num_streamed)
    assert evaluate_chunks.main(arguments(toy, exp_dir, tmp_path, *options)) == 0
    told = [record.getMessage() for record in caplog.records if "not heard" in record.getMessage()]
    assert len(told) == 1 and told[0].startswith("utterance train-03 is not heard: ") and "lost.wav" in told[0]
    assert {row["num_utterances"] for row in rows(tmp_path)} == {5}
