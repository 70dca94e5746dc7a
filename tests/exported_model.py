"""An untrained model and what is exported of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from toy import Toy
from toy_model import make_untrained

from wenet_lite.data.manifest import read_manifest
from wenet_lite.data.utterance import Utterance
from wenet_lite.experiment import read_experiment
from wenet_lite.runtime.export.agreement import CheckedAudio
from wenet_lite.runtime.model_dir import LoadedModel, ModelDescription, load_model

BIDIRECTIONAL = ("model.decoder.r_num_blocks=1", "model.reverse_weight=0.3")
SHORT_HISTORY = {"chunk_size": 4, "num_left_chunks": 2}


@dataclass(frozen=True)
class ExportedModel:
    """Attributes:
    loaded: the model.
    folder: what was written into.
    utterances: recordings that it was checked on.
    """

    loaded: LoadedModel
    folder: Path
    utterances: list[Utterance]

    @property
    def checked_audio(self) -> CheckedAudio:
        """Those recordings, heard by the model."""
        return CheckedAudio(self.loaded, self.utterances)


@torch.no_grad()
def untrained(toy: Toy, folder: Path, *settings: str) -> ExportedModel:
    """A model of random weights that hears a blank in half of the frames; nothing is exported yet."""
    exp_dir = make_untrained(toy, folder / "exp", *BIDIRECTIONAL, *settings)
    config = read_experiment(exp_dir / "train.yaml")
    loaded = load_model(ModelDescription(config.features, config.model), exp_dir / "model.pt", exp_dir)
    model = ExportedModel(loaded, folder, list(read_manifest(toy.folder / "dev/data.list"))[:3])
    blank, *others = model.checked_audio.references[0].log_probs.unbind(dim=-1)
    loaded.model.ctc.ctc_lo.bias[loaded.model.blank_id] += (torch.stack(others).amax(dim=0) - blank).median()
    return model
