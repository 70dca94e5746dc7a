"""WeNet's model directories, turned into experiment directories of ours."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wenet_lite.config import dump_yaml, from_dict, load_yaml
from wenet_lite.errors import CheckpointError, ConfigError, DataError
from wenet_lite.experiment import ExperimentConfig
from wenet_lite.features.cmvn import CmvnStats, read_cmvn, write_cmvn
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.weights import load_tensors, load_weights, save_atomically
from wenet_lite.text.tokenizer import BPE_MODEL, SPECIAL_UNITS, write_units

_POSITION_TABLES = (".pe",)
_VOCABULARY_TENSORS = ("ctc.ctc_lo.", ".output_layer.", ".embed.0.")
_IGNORED = frozenset(("gradient_checkpointing", "use_sdpa"))


@dataclass(frozen=True)
class _Section:
    """A section of WeNet's configuration.

    Attributes:
        kept: keys that mean the same here, and WeNet's default of each.
        fixed: keys of which one value, WeNet's default, is known here.
    """

    kept: Mapping[str, Any]
    fixed: Mapping[str, Any]


_DROPOUTS = {"dropout_rate": 0.1, "positional_dropout_rate": 0.1}
_CHUNKS = {"use_dynamic_chunk": False, "use_dynamic_left_chunk": False}
_SIZES = {"output_size": 256, "attention_heads": 4, "linear_units": 2048, "num_blocks": 6}
_ENCODERS = {
    "conformer": _Section(
        {
            **_SIZES, **_DROPOUTS, **_CHUNKS, "attention_dropout_rate": 0.0, "input_layer": "conv2d",
            "pos_enc_layer_type": "rel_pos", "cnn_module_kernel": 15, "causal": False, "cnn_module_norm": "batch_norm",
        },
        {"normalize_before": True, "static_chunk_size": 0, "macaron_style": True, "activation_type": "swish",
         "use_cnn_module": True, "positionwise_conv_kernel_size": 1},
    ),
    "transformer": _Section(
        {**_SIZES, **_DROPOUTS, **_CHUNKS, "attention_dropout_rate": 0.0, "input_layer": "conv2d",
         "pos_enc_layer_type": "abs_pos"},
        {"normalize_before": True, "static_chunk_size": 0, "activation_type": "relu"},
    ),
}  # fmt: skip
_DECODER = _Section(
    {
        **_DROPOUTS, "attention_heads": 4, "linear_units": 2048, "num_blocks": 6, "r_num_blocks": 0,
        "self_attention_dropout_rate": 0.0, "src_attention_dropout_rate": 0.0,
    },
    {"normalize_before": True, "activation_type": "relu"},
)  # fmt: skip
_MODEL = _Section(
    {"ctc_weight": 0.5, "lsm_weight": 0.0, "reverse_weight": 0.0},
    {"length_normalized_loss": False, "apply_non_blank_embedding": False},
)


def import_wenet(source: str | os.PathLike[str], target: str | os.PathLike[str], checkpoint: str = "final.pt") -> int:
    """Write an experiment directory with `model.pt` from a model directory of WeNet.

    The units keep their order, but `<blank>`, `<unk>` and `<sos/eos>` come first; weights are reordered alike.

    Args:
        source: holds `train.yaml`, the units, the weights and, for BPE, the sentencepiece model.
        target: the directory to make; it serves as `--exp-dir`.
        checkpoint: name of the weights in `source`.
    Returns:
        the number of parameters.
    Raises:
        ConfigError: naming what of its configuration is not known here.
        CheckpointError: if the weights do not fit the configuration.
        DataError: if the units or statistics are missing or malformed.
    """
    folder, out = Path(source), Path(target)
    tree = load_yaml(folder / "train.yaml")
    config = translate_config(tree, folder / "train.yaml")
    units = _read_units(_beside(folder, tree.get("tokenizer_conf", {}).get("symbol_table_path") or "units.txt"))
    order = _special_units_first(units, folder / "units.txt")
    model = AsrModel(config.model, config.features.num_mel_bins, len(units))
    path = folder / checkpoint
    state = load_tensors(path)
    if not isinstance(state, dict):
        raise CheckpointError("is no state_dict", path=path)
    load_weights(model, _translate_weights(state, order, model), path)
    temporary = out.with_name(out.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    dump_yaml(config, temporary / "train.yaml")
    dump_yaml(config.text, temporary / "text_rules.yaml")
    write_units([units[i] for i in order[len(SPECIAL_UNITS) :]], temporary / "units.txt")
    if tree.get("tokenizer") == "bpe":
        bpe = _beside(folder, tree["tokenizer_conf"]["bpe_path"])
        if not bpe.exists():
            raise DataError("no such sentencepiece model", path=bpe, cure="copy it into the model directory")
        shutil.copyfile(bpe, temporary / BPE_MODEL)
    write_cmvn(_statistics(folder, tree, model), temporary / "global_cmvn")
    save_atomically(model.state_dict(), temporary / "model.pt")
    shutil.rmtree(out, ignore_errors=True)
    temporary.replace(out)
    return sum(parameter.numel() for parameter in model.parameters())


def translate_config(tree: Mapping[str, Any], path: Path) -> ExperimentConfig:
    """Our configuration of a model that WeNet's `train.yaml` describes.

    Raises:
        ConfigError: naming what is not known here.
    """
    _require(tree, "model", ("asr_model",), path)
    _require(tree, "encoder", tuple(_ENCODERS), path)
    _require(tree, "decoder", ("transformer", "bitransformer"), path)
    _require(tree, "tokenizer", ("bpe", "char"), path)
    kind = tree["encoder"]
    encoder = _translate(tree.get("encoder_conf", {}), _ENCODERS[kind], "encoder_conf", path)
    positions = encoder["pos_enc_layer_type"]
    expected = "rel_selfattn" if positions == "rel_pos" else "selfattn"
    attention = tree.get("encoder_conf", {}).get("selfattention_layer_type", expected)
    if attention != expected:
        message = f"encoder_conf.selfattention_layer_type {attention} is not known here with {positions}"
        raise ConfigError(message, path=path)
    decoder = _translate(tree.get("decoder_conf", {}), _DECODER, "decoder_conf", path)
    if tree["decoder"] == "transformer":
        decoder["r_num_blocks"] = 0
    model = _translate(tree.get("model_conf", {}), _MODEL, "model_conf", path)
    if not decoder["r_num_blocks"]:
        model["reverse_weight"] = 0.0
    fbank = tree.get("dataset_conf", {}).get("fbank_conf", {})
    if (fbank.get("frame_length", 25), fbank.get("frame_shift", 10)) != (25, 10):
        raise ConfigError("dataset_conf.fbank_conf has another frame length or shift than 25 and 10 ms", path=path)
    ours = {
        "text": {"case": "upper" if tree["tokenizer"] == "bpe" else "keep", "apostrophe": "keep"},
        "features": {
            "num_mel_bins": tree.get("input_dim", fbank.get("num_mel_bins", 80)),
            "dither": fbank.get("dither", 0.0),
        },
        "model": {**model, "encoder": {"type": kind, **encoder}, "decoder": decoder},
    }
    return from_dict(ExperimentConfig, ours, path=path)


def _require(tree: Mapping[str, Any], key: str, known: tuple[str, ...], path: Path) -> None:
    if tree.get(key) not in known:
        raise ConfigError(f"{key} {tree.get(key)} is not known here, only {', '.join(known)}", path=path)


def _translate(conf: Mapping[str, Any], section: _Section, name: str, path: Path) -> dict[str, Any]:
    for key, value in conf.items():
        if key in section.fixed and value != section.fixed[key]:
            raise ConfigError(f"{name}.{key} {value} is not known here, only {section.fixed[key]}", path=path)
        known = key in section.kept or key in section.fixed or key in _IGNORED or key == "selfattention_layer_type"
        if not known:
            raise ConfigError(f"{name}.{key} is not known here", path=path)
    return {key: conf.get(key, default) for key, default in section.kept.items()}


def _beside(folder: Path, name: str) -> Path:
    """A file of the configuration: where it says, or else in the model directory under its own name."""
    given = folder / name
    return given if given.exists() else folder / Path(name).name


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


def _translate_weights(state: Mapping[str, Any], order: list[int], model: AsrModel) -> dict[str, Tensor]:
    """WeNet's tensors without position tables, which are computed here, and with the vocabulary in our order."""
    index = torch.tensor(order)
    tensors = {name: value for name, value in state.items() if not name.endswith(_POSITION_TABLES)}
    for name, value in tensors.items():
        if (
            any(part in f".{name}" for part in _VOCABULARY_TENSORS)
            and len(value) == len(order)
            and name[:8] != "encoder."
        ):
            tensors[name] = value.index_select(0, index)
    for name in ("encoder.global_cmvn.mean", "encoder.global_cmvn.istd"):
        tensors.setdefault(name, model.state_dict()[name])  # a model without CMVN
    return tensors


def _statistics(folder: Path, tree: Mapping[str, Any], model: AsrModel) -> CmvnStats:
    """The statistics of the model directory, or else such that give the mean and deviation of the weights."""
    name = (tree.get("cmvn_conf") or {}).get("cmvn_file")
    if name and _beside(folder, name).exists():
        return read_cmvn(_beside(folder, name))
    mean, istd = model.encoder.global_cmvn.mean.double(), model.encoder.global_cmvn.istd.double()
    return CmvnStats(mean, istd.pow(-2) + mean.square(), 1)
