"""What a run on the toy corpus leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from wenet_lite.training.checkpoint import Checkpoint, list_checkpoints, load_checkpoint


def newest(exp_dir: Path) -> Checkpoint:
    """Its newest checkpoint."""
    return load_checkpoint(list_checkpoints(exp_dir / "checkpoints")[-1])


def records(exp_dir: Path, kind: str = "train") -> list[dict[str, Any]]:
    """Its metrics of a kind."""
    lines = map(json.loads, (exp_dir / "metrics.jsonl").read_text().splitlines())
    return [record for record in lines if record["kind"] == kind]


def losses(exp_dir: Path, kind: str = "train") -> list[float]:
    """Its losses, record by record."""
    return [record["loss"] for record in records(exp_dir, kind)]


def assert_same_weights(actual: Path, expected: Path) -> None:
    """Two runs have ended with the same weights, bit for bit."""
    found, wanted = newest(actual).model, newest(expected).model
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert torch.equal(found[name], wanted[name]), name
