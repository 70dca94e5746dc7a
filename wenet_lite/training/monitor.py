"""What a run tells while it goes: metrics.jsonl, TensorBoard, a progress bar and log lines."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter
from tqdm import tqdm

from wenet_lite.data.kaldi import write_lines
from wenet_lite.model.asr_model import BLANK_ID
from wenet_lite.model.model_config import ModelConfig
from wenet_lite.training.checkpoint import order
from wenet_lite.training.metrics import EXPERT
from wenet_lite.training.training_config import TrainingConfig
from wenet_lite.training.validation import Sample
from wenet_lite.training.watch import Watch

_LOG = logging.getLogger(__name__)


class Monitor:
    """Writes the metrics of a run; on resume, what was written after the checkpoint is cut off.

    Args:
        exp_dir: receives `metrics.jsonl` and `tensorboard/`.
        first_update: updates already done.
        measured: whether the dev set was measured after them.
        total_updates: updates of the whole run.
        config, model: tell what is to be warned of.
    """

    def __init__(
        self,
        exp_dir: Path,
        first_update: int,
        measured: bool,
        total_updates: int,
        config: TrainingConfig,
        model: ModelConfig,
    ) -> None:
        self._path = exp_dir / "metrics.jsonl"
        _cut_back(self._path, first_update, measured)
        self._stream = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 (open for the whole run)
        # TensorBoard leaves out what an earlier process has written from this update on.
        self._writer = SummaryWriter(str(exp_dir / "tensorboard"), purge_step=first_update + 1)
        self._best_by, self._max_epochs = config.best_by, config.max_epochs
        self._watch = Watch(config, model)
        self._first = self._done = first_update
        self._total, self._began = total_updates, time.monotonic()
        self._bar = tqdm(
            total=total_updates, initial=first_update, unit="update", disable=not sys.stderr.isatty(), smoothing=0.05
        )

    def advance(self) -> None:
        """One update is done."""
        self._done += 1
        self._bar.update()

    def record(self, kind: str, update: int, metrics: Mapping[str, float]) -> None:
        """Write metrics of `kind` ('train' or 'dev') measured after `update` updates."""
        record: dict[str, Any] = {"kind": kind, "update": update}
        record.update({name: float(f"{value:.8g}") for name, value in metrics.items()})
        self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()
        for name, value in metrics.items():
            self._writer.add_scalar(f"{kind}/{name}", value, update)
        shares = [value for name, value in metrics.items() if name.startswith(EXPERT)]
        text = " ".join(f"{name} {value:.4g}" for name, value in metrics.items() if not name.startswith(EXPERT))
        if shares:
            text += f" experts used from {100 * min(shares):.1f} to {100 * max(shares):.1f} %"
        self._say(f"{kind}, update {update}/{self._total}: {text}; {self._remaining()}")
        if kind == "train":
            for warning in self._watch.warnings(update, metrics):
                with _beside(self._bar):
                    _LOG.warning("%s", warning)

    def record_dev(
        self, update: int, history: Sequence[Mapping[str, float]], samples: Sequence[Sample], hours: float
    ) -> None:
        """Write the newest dev results, a summary of the epoch, and what some utterances were heard as."""
        dev = history[-1]
        self.record("dev", update, dev)
        best = min(history, key=lambda results: order(results[self._best_by]))
        self._say(
            f"epoch {dev['epoch']:.3g} of {self._max_epochs}: dev loss {dev['loss']:.4g}, WER {dev['wer']:.2f} % "
            f"(greedy CTC); best {self._best_by} {best[self._best_by]:.4g} after epoch {best['epoch']:.3g}; "
            f"{hours:.2f} h so far"
        )
        for sample in samples:
            self._writer.add_text(f"sample/{sample.key}", f"{sample.reference}\n\n{sample.hypothesis}", update)
            self._writer.add_image(f"posteriors/{sample.key}", picture(sample.posteriors.numpy()), update)

    def close(self) -> None:
        """Flush and close the files."""
        self._bar.close()
        self._stream.close()
        self._writer.close()

    def _remaining(self) -> str:
        done, left = self._done - self._first, self._total - self._done
        if not done:
            return "no time known yet"
        minutes = (time.monotonic() - self._began) / done * left / 60
        return f"{int(minutes // 60)} h {int(minutes % 60):02d} min left"

    def _say(self, text: str) -> None:
        with _beside(self._bar):
            _LOG.info("%s", text)


def picture(posteriors: np.ndarray) -> np.ndarray:
    """(frames, vocab) posteriors as a (1, height, width) picture in [0, 1]: time to the right, blank at the top.

    Only the blank and units that are likely somewhere have a row; what is not a number is black, and so is the one
    column of an utterance without frames: TensorBoard takes no empty picture.
    """
    if not len(posteriors):
        posteriors = np.zeros((1, posteriors.shape[1]), posteriors.dtype)
    posteriors = np.nan_to_num(posteriors)
    shown = np.union1d([BLANK_ID], np.flatnonzero(posteriors.max(axis=0) > 0.05))
    rows = np.repeat(posteriors[:, shown].T, 6, axis=0)
    return np.repeat(rows, 4, axis=1)[None]


class _beside:
    """Lets a log line pass a progress bar without tearing it."""

    def __init__(self, bar: tqdm[Any]) -> None:
        self._bar = bar

    def __enter__(self) -> None:
        self._bar.clear()

    def __exit__(self, *exc: object) -> None:
        self._bar.refresh()


def _cut_back(path: Path, update: int, measured: bool) -> None:
    """Take records after an update, with its dev results if they are to be measured again, out of metrics.jsonl."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
            if (record["update"], not measured and record["kind"] == "dev") <= (update, False):
                kept.append(line.encode())
        except ValueError:  # torn by a kill
            continue
    write_lines(path, kept)
