"""WeNet's model directories, turned into experiment directories of ours."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from wenet_lite.config import dump_yaml, load_yaml
from wenet_lite.errors import CheckpointError, ConfigError, DataError
from wenet_lite.features.cmvn import CmvnStats, read_cmvn, write_cmvn
from wenet_lite.interchange.wenet_config import CMVN, UNITS, WEIGHTS, config_from_wenet, sos_id
from wenet_lite.model.asr_model import AsrModel, count_parameters
from wenet_lite.model.weights import load_tensors, load_weights, save_atomically, unit_axis
from wenet_lite.runtime.model_dir import new_folder
from wenet_lite.text.tokenizer import BPE_MODEL, SOS_EOS, SPECIAL_UNITS, WORD_START, write_units

_OLDER_UNITS = "words.txt"
_POSITION_TABLES = (".pe",)
_CMVN_TENSORS = {"encoder.global_cmvn.mean", "encoder.global_cmvn.istd"}


def import_wenet(source: str | os.PathLike[str], target: str | os.PathLike[str], checkpoint: str = WEIGHTS) -> int:
    """Write an experiment directory with `model.pt` from a model directory of WeNet.

    The units keep their order, but `<blank>`, `<unk>` and `<sos/eos>` come first; weights are reordered alike.

    Args:
        source: holds `train.yaml`, the units, the weights and, for BPE, the sentencepiece model.
        target: the directory to make; it serves as `--exp-dir`.
        checkpoint: name of the weights in `source`.
    Returns:
        the number of parameters.
    Raises:
        ConfigError: naming what of its configuration is not known here, or if `target` would replace `source`.
        CheckpointError: if the weights do not fit the configuration.
        DataError: if the units or statistics are missing or malformed.
    """
    folder, out = Path(source), Path(target)
    tree = load_yaml(folder / "train.yaml")
    units_file = _units_file(folder, tree)
    units = _read_units(units_file)
    tree.setdefault("tokenizer", _tokenizer_of(folder, units))
    config = config_from_wenet(tree, folder / "train.yaml")
    order = _special_units_first(units, units_file)
    _check_sos(units, sos_id(tree, len(units)), folder / "train.yaml")
    model = AsrModel(config.model, config.features.num_mel_bins, len(units))
    path = folder / checkpoint
    state = load_tensors(path)
    if not isinstance(state, dict):
        raise CheckpointError("is no state_dict", path=path)
    tensors = _translate_weights(state, order)
    if not config.model.decoder.r_num_blocks:
        tensors = _forward_decoder_alone(tensors)
    statistics = _complete_cmvn(tensors, tree, folder, model, path)
    load_weights(model, tensors, path)
    with new_folder(out, folder) as made:
        dump_yaml(config, made / "train.yaml")
        dump_yaml(config.text, made / "text_rules.yaml")
        write_units([units[i] for i in order[len(SPECIAL_UNITS) :]], made / UNITS)
        if tree["tokenizer"] == "bpe":
            bpe = _bpe_file(folder, tree)
            if not bpe.exists():
                raise DataError("no such sentencepiece model", path=bpe, cure="copy it into the model directory")
            shutil.copyfile(bpe, made / BPE_MODEL)
        write_cmvn(model.encoder.global_cmvn.statistics(statistics), made / "global_cmvn")
        save_atomically(model.state_dict(), made / "model.pt")
    return count_parameters(model)


def _beside(folder: Path, name: str) -> Path:
    """A file of the configuration: where it says, or else in the model directory under its own name."""
    given = folder / name
    return given if given.exists() else folder / Path(name).name


def _units_file(folder: Path, tree: Mapping[str, Any]) -> Path:
    """The units: where the configuration says; older versions do not, and have them as `words.txt` too."""
    name = (tree.get("tokenizer_conf") or {}).get("symbol_table_path")
    is_older = not name and not (folder / UNITS).exists() and (folder / _OLDER_UNITS).exists()
    return folder / _OLDER_UNITS if is_older else _beside(folder, name or UNITS)


def _bpe_file(folder: Path, tree: Mapping[str, Any]) -> Path:
    """The sentencepiece model: where the configuration says, or else the only one in the folder."""
    name = (tree.get("tokenizer_conf") or {}).get("bpe_path")
    found = list(folder.glob("*.model"))
    return found[0] if not name and len(found) == 1 else _beside(folder, name or BPE_MODEL)


def _tokenizer_of(folder: Path, units: list[str]) -> str:
    """What the units are of, where the configuration does not say: pieces of words have a model, or show beginnings."""
    are_pieces = any(unit.startswith(WORD_START) and unit != WORD_START for unit in units)
    return "bpe" if are_pieces or any(folder.glob("*.model")) else "char"


def _read_units(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot read the units", path=path) from error
    pairs = [line.rpartition(" ") for line in lines]
    units = [unit for unit, _, _ in pairs]
    if [index for _, _, index in pairs] != [str(i) for i in range(len(pairs))]:
        raise DataError("does not number its units 0, 1, 2, ...", path=path)
    return units


def _special_units_first(units: list[str], path: Path) -> list[int]:
    """Positions of the units in our order."""
    missing = [unit for unit in SPECIAL_UNITS if unit not in units]
    if missing:
        raise DataError(f"lacks {', '.join(missing)}", path=path)
    special = [units.index(unit) for unit in SPECIAL_UNITS]
    return special + [i for i in range(len(units)) if i not in special]


def _check_sos(units: list[str], sos: int, path: Path) -> None:
    """Texts begin with the unit that is called so."""
    if not 0 <= sos < len(units) or units[sos] != SOS_EOS:
        message = f"begins texts with unit {sos}, but {SOS_EOS} is unit {units.index(SOS_EOS)}"
        raise ConfigError(message, path=path, cure="tokenizer_conf.special_tokens names it, else it is the last one")


def _translate_weights(state: Mapping[str, Any], order: list[int]) -> dict[str, Any]:
    """WeNet's tensors without position tables, which are computed here, and with the vocabulary in our order."""
    index = torch.tensor(order)
    tensors = {name: value for name, value in state.items() if not name.endswith(_POSITION_TABLES)}
    for name, value in tensors.items():
        if unit_axis(name) == 0 and len(value) == len(order):
            tensors[name] = value.index_select(0, index)
    return tensors


def _forward_decoder_alone(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Of two decoders the one that reads from left to right; a single one stays as it is."""
    kept = {name: value for name, value in tensors.items() if not name.startswith("decoder.right_decoder.")}
    return {name.replace("decoder.left_decoder.", "decoder."): value for name, value in kept.items()}


def _complete_cmvn(
    tensors: dict[str, Any], tree: Mapping[str, Any], folder: Path, model: AsrModel, path: Path
) -> CmvnStats | None:
    """Have the tensors normalise features as WeNet does; returns the statistics, where a file has them.

    Without CMVN in the configuration nothing is normalised, whatever the weights hold; with it, and without it in the
    weights, the file counts. Older versions do not say: those whose weights know how normalise.
    """
    are_told = tensors.keys() >= _CMVN_TENSORS
    if not tree.get("cmvn", are_told):
        tensors |= {name: model.state_dict()[name] for name in _CMVN_TENSORS}
        return None
    file = _beside(folder, (tree.get("cmvn_conf") or {}).get("cmvn_file") or CMVN)
    statistics = read_cmvn(file) if file.exists() else None
    if not are_told:
        if statistics is None:
            raise DataError("has no CMVN, and cmvn_conf.cmvn_file is not there", path=path, cure="copy global_cmvn")
        model.encoder.global_cmvn.set_stats(statistics)
        tensors |= {name: model.state_dict()[name] for name in _CMVN_TENSORS}
    return statistics
