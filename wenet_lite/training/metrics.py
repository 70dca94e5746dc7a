"""What runs have measured, by name, read back from the `metrics.jsonl` that `Monitor` writes."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wenet_lite.config import load_yaml
from wenet_lite.errors import DataError

_LOG = logging.getLogger(__name__)
EXPERT = "expert_layer"
"""Beginning of the names of metrics that tell how much an expert is used: `expert_layer<layer>_<expert>`."""
_EXPERT_METRIC = re.compile(EXPERT + r"(\d+)_(\d+)")
_CURE = "name the folder of a run, after its first training.log_interval updates"
Kind = Literal["train", "dev"]


@dataclass(frozen=True)
class RunMetrics:
    """The records of a run.

    Attributes:
        name: the run's folder.
        facts: the first facts of its configuration, in words.
        records: lines of its metrics.jsonl, in their order.
    """

    name: str
    facts: str
    records: Sequence[dict[str, Any]]

    @property
    def last_update(self) -> int:
        """Updates done at the last record."""
        return int(max(record["update"] for record in self.records))

    @property
    def metrics(self) -> list[str]:
        """Names of all that was measured, in the order of the records."""
        return list(dict.fromkeys(name for record in self.records for name in record))

    @property
    def experts(self) -> list[tuple[int, int]]:
        """Layer and number of each expert, sorted."""
        found = map(_EXPERT_METRIC.fullmatch, self.metrics)
        return sorted((int(match[1]), int(match[2])) for match in found if match)

    def series(self, kind: Kind, metric: str) -> np.ndarray:
        """(2, records) updates and values of a metric; a value that is not finite becomes NaN."""
        points = [(record["update"], record[metric]) for record in self.records if _has(record, kind, metric)]
        series = np.array(points, dtype=float).reshape(-1, 2).T
        series[~np.isfinite(series)] = np.nan
        return series


def _has(record: dict[str, Any], kind: Kind, metric: str) -> bool:
    return record["kind"] == kind and metric in record


def read_runs(exp_dirs: Sequence[Path]) -> list[RunMetrics]:
    """Read what runs have measured; lines torn by a kill are left out.

    Args:
        exp_dirs: folders with metrics.jsonl, and train.yaml beside it.
    Raises:
        DataError: if a folder has no metrics, or metrics.jsonl is something else.
        ConfigError: if a train.yaml cannot be read.
    """
    names = [path.resolve().name for path in exp_dirs]
    runs = []
    for path, name in zip(exp_dirs, names):
        records = list(_read_records(path / "metrics.jsonl"))
        if not records:
            raise DataError("has no records", path=path / "metrics.jsonl", cure=_CURE)
        facts = _facts(path / "train.yaml", records)
        runs.append(RunMetrics(name if names.count(name) == 1 else str(path), facts, records))
    return runs


def _read_records(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise DataError("is missing", path=path, cure=_CURE)
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError:
            _LOG.warning("%s:%d: left out, a line torn by a kill", path, number)
            continue
        if not isinstance(record, dict) or not {"kind", "update"} <= record.keys():
            raise DataError("is not a record of training: kind or update is missing", path=path, line=number)
        yield record


def _facts(path: Path, records: Sequence[dict[str, Any]]) -> str:
    """Encoder, experts, levels and epochs, as far as a train.yaml tells them."""
    if not path.exists():
        return ""
    tree = load_yaml(path)
    model, training = tree.get("model", {}), tree.get("training", {})
    encoder = model.get("encoder", {})
    depth, width = encoder.get("num_blocks", "?"), encoder.get("output_size", "?")
    facts = [f"{encoder.get('type', 'conformer')}, {depth} layers of {width}"]
    if encoder.get("moe"):
        facts.append(f"{encoder['moe'].get('num_experts', '?')} experts")
    if model.get("multi_level"):
        layers = model["multi_level"].get("layers", [])
        facts.append(f"heads on {'layer' if len(layers) == 1 else 'layers'} {', '.join(map(str, layers))}")
    epoch = max(record.get("epoch", 0) for record in records)
    facts.append(f"epoch {epoch:.3g} of {training.get('max_epochs', '?')}")
    return ", ".join(facts)
