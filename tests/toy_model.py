"""An experiment directory whose model is not trained: enough where only sameness counts."""

from __future__ import annotations

from pathlib import Path

import torch
from toy import Toy

from wenet_lite.data.weighted_list import WeightedList
from wenet_lite.experiment import DataPaths, build_model, read_experiment, write_experiment
from wenet_lite.features.cmvn import read_cmvn
from wenet_lite.text.tokenizer import load_tokenizer


def make_untrained(toy: Toy, exp_dir: Path, *settings: str) -> Path:
    """Fill `exp_dir`, with `model.pt`: of random weights, but it hears blanks and tokens by turns."""
    config = read_experiment(toy.folder / "toy.yaml", settings)
    lists = [str(toy.folder / part / "data.list") for part in ("train", "dev")]
    paths = DataPaths(
        [WeightedList.parse(lists[0])], lists[1], str(toy.folder / "lang"), str(toy.folder / "global_cmvn")
    )
    exp_dir.mkdir(parents=True, exist_ok=True)
    model = build_model(config, load_tokenizer(toy.folder / "lang").vocab_size)
    model.encoder.global_cmvn.set_stats(read_cmvn(paths.cmvn))
    write_experiment(config, paths, model, exp_dir)
    with torch.no_grad():
        model.ctc.ctc_lo.weight.mul_(6.0)
        model.ctc.ctc_lo.bias[model.blank_id] += 14.0
    torch.save(model.state_dict(), exp_dir / "model.pt")
    return exp_dir
