"""What a run trains, and on what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wenet_lite.data.batch_plan import BatchPlan
from wenet_lite.data.dataset import SpeechDataset
from wenet_lite.features.fbank import Fbank
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.training.training_config import TrainingConfig
from wenet_lite.training.validation import Validator


@dataclass(frozen=True)
class Recipe:
    """Attributes:
    model: on its device already.
    fbank: the front end, on the same device.
    dataset: training utterances.
    plan: their batches.
    data: fingerprint of them.
    validator: measures the dev set.
    config: the trainer's options.
    seed: of every draw.
    resolved: the whole configuration as plain mappings, kept in checkpoints.
    """

    model: AsrModel
    fbank: Fbank
    dataset: SpeechDataset
    plan: BatchPlan
    data: str
    validator: Validator
    config: TrainingConfig
    seed: int
    resolved: dict[str, Any]
