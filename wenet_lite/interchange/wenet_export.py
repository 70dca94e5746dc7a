"""A trained model, written as a model directory of WeNet: the other way of `import_wenet`."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import torch
from torch import Tensor

from wenet_lite.config import dump_yaml
from wenet_lite.features.cmvn import read_cmvn, write_cmvn
from wenet_lite.interchange.wenet_config import CMVN, UNITS, WEIGHTS, config_to_wenet
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.attention import sinusoids
from wenet_lite.model.weights import save_atomically
from wenet_lite.runtime.model_dir import LoadedModel, ModelDescription, new_folder
from wenet_lite.text.tokenizer import BPE_MODEL, HAN

_LOG = logging.getLogger(__name__)

_NUM_POSITIONS = 5000
"""Encoder frames and tokens that WeNet's tables of positions reach."""


def export_wenet(loaded: LoadedModel, description: ModelDescription, source: Path, target: Path) -> None:
    """Write `train.yaml`, `final.pt`, `units.txt`, `global_cmvn` and, for BPE, the sentencepiece model, as WeNet does.

    Text rules stay behind: WeNet takes a transcript as its list has it, and in capitals where the units are BPE; each
    Chinese character is a unit then.

    Args:
        loaded: the model.
        description: its configuration, with the heads that were for training only.
        source: the experiment directory.
        target: folder to make; replaced as a whole once all is written.
    Raises:
        ConfigError: naming what WeNet does not have, or if `target` would replace `source`.
        DataError: if the statistics are missing or malformed.
    """
    bpe_model = BPE_MODEL if (source / BPE_MODEL).exists() else None
    vocab_size = loaded.tokenizer.vocab_size
    tree = config_to_wenet(description.features, description.model, vocab_size, bpe_model, source / "train.yaml")
    if bpe_model and loaded.tokenizer.rules.case != "upper":
        _LOG.warning("%s: WeNet puts transcripts in capitals, which these units are not made for", source)
    if bpe_model and not loaded.tokenizer.rules.split_han and any(map(HAN.search, loaded.tokenizer.units)):
        _LOG.warning("%s: WeNet makes a unit of each Chinese character, which these units are not made for", source)
    with new_folder(target, source, WEIGHTS) as folder:
        dump_yaml(tree, folder / "train.yaml")
        shutil.copyfile(source / "units.txt", folder / UNITS)
        if bpe_model:
            shutil.copyfile(source / bpe_model, folder / bpe_model)
        write_cmvn(read_cmvn(source / "global_cmvn"), folder / CMVN)
        save_atomically(_wenet_weights(loaded.model), folder / WEIGHTS)


def _wenet_weights(model: AsrModel) -> dict[str, Tensor]:
    """The model's tensors and, as WeNet keeps them among its own, tables of positions (1, positions, dim)."""
    tensors = dict(model.state_dict())
    table = sinusoids(torch.arange(_NUM_POSITIONS), model.config.encoder.output_size).unsqueeze(0)
    embeddings = [name for name in tensors if name.startswith("decoder.") and name.endswith("embed.0.weight")]
    for name in ("encoder.embed.pos_enc.pe", *(name.replace("0.weight", "1.pe") for name in embeddings)):
        tensors[name] = table.clone()  # tables that share memory would be summed thrice where checkpoints are averaged
    return tensors
