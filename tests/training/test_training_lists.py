"""Several lists train as one, each as often as its weight tells."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from toy import ROOT, WORDS, Toy, run_module
from toy_run import assert_same_weights

from wenet_lite.bin import make_shards, train
from wenet_lite.data.weighted_list import WeightedList
from wenet_lite.distributed import World
from wenet_lite.errors import ConfigError, DataError
from wenet_lite.experiment import DataPaths, build_recipe, read_experiment
from wenet_lite.training.checkpoint import list_checkpoints, load_checkpoint

STEADY = ("model.encoder.dropout_rate=0.0", "model.encoder.positional_dropout_rate=0.0")


@pytest.fixture(scope="module")
def halves(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The training list, cut in two."""
    folder = tmp_path_factory.mktemp("lists")
    lines = (toy.folder / "train/data.list").read_text().splitlines(keepends=True)
    for name, part in {"a": lines[:14], "b": lines[14:]}.items():
        (folder / f"{name}.list").write_text("".join(part))
    return str(folder / "a.list"), str(folder / "b.list")


def arguments_for(toy: Toy, exp_dir: Path, lists: list[str], *settings: str) -> list[str]:
    arguments = toy.train_arguments(exp_dir, *settings)
    place = arguments.index("--train-data") + 1
    return [*arguments[:place], *lists, *arguments[place + 1 :]]


def test_two_lists_train_the_weights_of_one(toy: Toy, halves: tuple[str, str], tmp_path: Path) -> None:
    assert train.main(toy.train_arguments(tmp_path / "one")) == 0
    assert train.main(arguments_for(toy, tmp_path / "two", list(halves))) == 0
    assert_same_weights(tmp_path / "one", tmp_path / "two")


def test_a_killed_run_on_weighted_lists_goes_on(
    toy: Toy, halves: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    lists = [f"{halves[0]}:0.5", f"{halves[1]}:2"]
    settings = ("training.max_epochs=4", "augment.volume_db=[-6, 6]")
    assert train.main(arguments_for(toy, tmp_path / "undisturbed", lists, *settings)) == 0
    assert f"{halves[0]}: 14 utterances in, 0 left out, 0.01 h, weight 0.5, " in caplog.text
    killed = arguments_for(toy, tmp_path / "killed", lists, *settings)
    process = subprocess.Popen([sys.executable, "-m", "wenet_lite.bin.train", *killed], cwd=ROOT)
    while process.poll() is None and len(list_checkpoints(tmp_path / "killed/checkpoints")) < 2:
        time.sleep(0.002)
    assert process.poll() is None, "the run ended before it could be killed"
    process.kill()
    process.wait()
    assert train.main(killed) == 0
    assert_same_weights(tmp_path / "undisturbed", tmp_path / "killed")


def test_two_ranks_share_the_updates_of_weighted_lists(toy: Toy, halves: tuple[str, str], tmp_path: Path) -> None:
    for processes in (1, 2):
        arguments = arguments_for(toy, tmp_path / str(processes), [f"{halves[0]}:1.5", halves[1]], *STEADY)
        result = run_module("wenet_lite.bin.train", *arguments, processes=processes)
        assert result.returncode == 0, result.stderr
    one, two = (load_checkpoint(list_checkpoints(tmp_path / name / "checkpoints")[-1]) for name in ("1", "2"))
    assert one.update == two.update and two.dev["loss"] == pytest.approx(one.dev["loss"], rel=1e-3)


def test_lists_of_files_and_of_shards_are_mixed_unless_shards_are_streamed(
    toy: Toy, halves: tuple[str, str], tmp_path: Path
) -> None:
    data = ["--data-dir", str(toy.folder / "train"), "--lang-dir", str(toy.folder / "lang"), "--jobs", "1"]
    make_shards.main([*data, "--utterances-per-shard", "4", "--output-dir", str(tmp_path)])
    shards = (tmp_path / "shards.list").read_text().splitlines()
    (tmp_path / "some.list").write_text("\n".join(shards[:3]))  # the first twelve utterances
    (tmp_path / "streams.list").write_text("".join(f"cat {shard} |\n" for shard in shards))
    lines = (toy.folder / "train/data.list").read_text().splitlines(keepends=True)
    (tmp_path / "others.list").write_text("".join(lines[12:]))
    mixture = [str(tmp_path / "some.list"), str(tmp_path / "others.list")]
    assert train.main(arguments_for(toy, tmp_path / "mixed", mixture)) == 0
    assert train.main(toy.train_arguments(tmp_path / "files")) == 0
    assert_same_weights(tmp_path / "files", tmp_path / "mixed")
    streams = str(tmp_path / "streams.list")
    with pytest.raises(ConfigError, match="read once an epoch, so their lists take no weights"):
        train.main([*arguments_for(toy, tmp_path / "x", [f"{streams}:2"]), "--allow-pipes"])
    (tmp_path / "foreign.list").write_text(lines[0].replace('"train-00"', '"foreign"'))
    with pytest.raises(DataError, match=r"foreign\.list: is a list of utterances, and another list has shards"):
        train.main([*arguments_for(toy, tmp_path / "x", [streams, str(tmp_path / "foreign.list")]), "--allow-pipes"])


def test_a_dev_list_without_text_rules_is_measured_by_them(toy: Toy, tmp_path: Path) -> None:
    dev = tmp_path / "dev.list"
    lines = [json.loads(line) for line in (toy.folder / "dev/data.list").read_text().splitlines()]
    dev.write_text("".join(json.dumps({**line, "txt": line["txt"].lower()}) + "\n" for line in lines))
    training = [WeightedList(str(toy.folder / "train/data.list"))]
    paths = DataPaths(training, str(dev), str(toy.folder / "lang"), str(toy.folder / "global_cmvn"))
    recipe = build_recipe(read_experiment(toy.folder / "toy.yaml"), paths, World(), torch.device("cpu"))
    _, samples = recipe.validator.measure(recipe.model)
    assert samples and all(set(sample.reference.split()) <= WORDS.keys() for sample in samples)
