"""A rank whose share of an update is empty once kept gradients that were never summed, and failed at log time."""

from pathlib import Path

import pytest
from toy import Toy, run_module
from toy_run import newest


def test_a_rank_without_utterances_takes_the_updates_of_one_process(toy: Toy, tmp_path: Path) -> None:
    lines = (toy.folder / "train/data.list").read_text().splitlines(keepends=True)
    (tmp_path / "data.list").write_text("".join(lines[:3]))  # two micro-batches an update: the last has one only
    settings = ("batch.max_utterances=1", "training.max_epochs=1", "model.encoder.cnn_module_norm=layer_norm")
    losses = []
    for processes in (1, 2):
        exp_dir = tmp_path / f"exp{processes}"
        arguments = toy.train_arguments(exp_dir, *settings)
        arguments[arguments.index("--train-data") + 1] = str(tmp_path / "data.list")
        result = run_module("wenet_lite.bin.train", *arguments, processes=processes)
        assert result.returncode == 0, result.stderr
        losses.append(newest(exp_dir).dev["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
