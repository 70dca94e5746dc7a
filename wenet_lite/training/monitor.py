"""What a run tells while it goes: metrics.jsonl, TensorBoard, a progress bar and log lines."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from tqdm import tqdm

from wenet_lite.training.meter import EXPERT

_LOG = logging.getLogger(__name__)


class Monitor:
    """Writes the metrics of a run; on resume, records after the checkpoint are cut off.

    Args:
        exp_dir: receives `metrics.jsonl` and `tensorboard/`.
        first_update: updates already done.
        total_updates: updates of the whole run.
    """

    def __init__(self, exp_dir: Path, first_update: int, total_updates: int) -> None:
        self._path = exp_dir / "metrics.jsonl"
        _cut_back(self._path, first_update)
        self._stream = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 (open for the whole run)
        self._writer = SummaryWriter(str(exp_dir / "tensorboard"), purge_step=first_update + 1)
        self._bar = tqdm(
            total=total_updates, initial=first_update, unit="update", disable=not sys.stderr.isatty(), smoothing=0.05
        )

    def advance(self) -> None:
        """One update is done."""
        self._bar.update()

    def record(self, kind: str, update: int, metrics: dict[str, float]) -> None:
        """Write metrics of `kind` ('train' or 'dev') measured after `update` updates."""
        record: dict[str, Any] = {"kind": kind, "update": update}
        record.update({name: float(f"{value:.6g}") for name, value in metrics.items()})
        self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()
        for name, value in metrics.items():
            self._writer.add_scalar(f"{kind}/{name}", value, update)
        shares = [value for name, value in metrics.items() if name.startswith(EXPERT)]
        text = " ".join(f"{name} {value:.4g}" for name, value in metrics.items() if not name.startswith(EXPERT))
        if shares:
            text += f" experts used from {100 * min(shares):.1f} to {100 * max(shares):.1f} %"
        with _beside(self._bar):
            _LOG.info("%s, update %d/%d: %s", kind, update, self._bar.total, text)

    def close(self) -> None:
        """Flush and close the files."""
        self._bar.close()
        self._stream.close()
        self._writer.close()


class _beside:
    """Lets a log line pass a progress bar without tearing it."""

    def __init__(self, bar: tqdm[Any]) -> None:
        self._bar = bar

    def __enter__(self) -> None:
        self._bar.clear()

    def __exit__(self, *exc: object) -> None:
        self._bar.refresh()


def _cut_back(path: Path, update: int) -> None:
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["update"] <= update:
                kept.append(line + "\n")
        except ValueError:  # a line torn by a kill
            continue
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(path)
