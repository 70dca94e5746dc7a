"""WeNet's `train.yaml` and our configuration, each turned into the other."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wenet_lite.config import from_dict
from wenet_lite.errors import ConfigError
from wenet_lite.experiment import ExperimentConfig
from wenet_lite.features.fbank import FRAME_LENGTH, FRAME_SHIFT, SAMPLE_RATE, FbankConfig
from wenet_lite.model.asr_model import BLANK_ID, EOS_ID, SOS_ID
from wenet_lite.model.decoder import TransformerDecoderConfig
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.model_config import ModelConfig
from wenet_lite.text.tokenizer import BLANK, UNKNOWN

_LOG = logging.getLogger(__name__)

UNITS, WEIGHTS, CMVN = "units.txt", "final.pt", "global_cmvn"
"""Names of files in WeNet's model directories."""
_UNSAID = {"model": "asr_model", "encoder": "conformer", "decoder": "bitransformer"}
"""What WeNet takes where its older versions do not say."""
_FRAME_MS = {"frame_length": FRAME_LENGTH * 1000 // SAMPLE_RATE, "frame_shift": FRAME_SHIFT * 1000 // SAMPLE_RATE}
_SELF_ATTENTION = {"conformer": "rel_selfattn", "transformer": "selfattn"}
"""WeNet's default of each encoder."""
_USUAL = {
    "ctc": "ctc",
    "ctc_conf.ctc_blank_id": BLANK_ID,
    "dataset_conf.resample_conf.resample_rate": SAMPLE_RATE,
    "dataset_conf.feats_type": "fbank",
    "dataset_conf.singal_channel_conf.channel": 0,
    "feats_type": "fbank",
    "tokenizer_conf.connect_symbol": "",
    "tokenizer_conf.split_with_space": False,
    "tokenizer_conf.is_multilingual": False,
    "tokenizer_conf.non_lang_syms_path": None,
    "lora_conf": None,
}
"""Settings outside the network of which one value is known here."""
_IGNORED = frozenset(
    ("gradient_checkpointing", "use_sdpa", "n_expert", "n_expert_activated", "positionwise_conv_kernel_size")
)
"""Keys that change no number of what is known here."""
_SELDOM_SAID = ("activation_type", "macaron_style", "use_cnn_module", "static_chunk_size", "r_num_blocks")
"""Keys that are left out of what goes to WeNet where they have its default."""
_OF_TRAINING = {"length_normalized_loss": False, "tie_word_embedding": False}
"""Keys that matter to training alone, and WeNet's default: another value is warned of, for the model is the same."""


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
_CHUNKS = {"static_chunk_size": 0, "use_dynamic_chunk": False, "use_dynamic_left_chunk": False}
_SIZES = {"output_size": 256, "attention_heads": 4, "linear_units": 2048, "num_blocks": 6}
_LAYERS = {
    "normalize_before": True, "layer_norm_type": "layer_norm", "norm_eps": 1e-5,
    "query_bias": True, "key_bias": True, "value_bias": True, "n_kv_head": None, "head_dim": None,
    "mlp_type": "position_wise_feed_forward", "mlp_bias": True,
}  # fmt: skip
_ENCODERS = {
    "conformer": _Section(
        {
            **_SIZES, **_DROPOUTS, **_CHUNKS, "attention_dropout_rate": 0.0, "input_layer": "conv2d",
            "pos_enc_layer_type": "rel_pos", "cnn_module_kernel": 15, "causal": False, "cnn_module_norm": "batch_norm",
            "activation_type": "swish", "macaron_style": True, "use_cnn_module": True,
        },
        {**_LAYERS, "final_norm": True, "conv_bias": True, "conv_norm_eps": 1e-5, "conv_inner_factor": 2},
    ),
    "transformer": _Section(
        {**_SIZES, **_DROPOUTS, **_CHUNKS, "attention_dropout_rate": 0.0, "input_layer": "conv2d",
         "pos_enc_layer_type": "abs_pos", "activation_type": "relu"},
        _LAYERS,
    ),
}  # fmt: skip
_DECODER = _Section(
    {
        **_DROPOUTS, "attention_heads": 4, "linear_units": 2048, "num_blocks": 6, "r_num_blocks": 0,
        "activation_type": "relu", "self_attention_dropout_rate": 0.0, "src_attention_dropout_rate": 0.0,
    },
    {
        **_LAYERS, "input_layer": "embed", "use_output_layer": True,
        "src_attention": True, "src_query_bias": True, "src_key_bias": True, "src_value_bias": True,
    },
)  # fmt: skip
_MODEL = _Section(
    {"ctc_weight": 0.5, "lsm_weight": 0.0, "reverse_weight": 0.0},
    {"apply_non_blank_embedding": False, "ignore_id": -1},
)
_FBANK = _Section({"num_mel_bins": 80, "dither": 0.0}, {**_FRAME_MS, "window_type": "povey"})
_FRONT_ENDS = ("conv2d", "conv2d6", "conv2d8")


def config_from_wenet(tree: Mapping[str, Any], path: Path) -> ExperimentConfig:
    """Our configuration of a model that WeNet's `train.yaml` describes.

    Raises:
        ConfigError: naming what is not known here.
    """
    tree = {**_UNSAID, **tree}
    _require(tree, "model", ("asr_model",), path)
    _require(tree, "encoder", tuple(_ENCODERS), path)
    _require(tree, "decoder", ("transformer", "bitransformer"), path)
    _require(tree, "tokenizer", ("bpe", "char"), path)
    kind = tree["encoder"]
    encoder = _translate(tree.get("encoder_conf") or {}, _ENCODERS[kind], "encoder_conf", path)
    _require(encoder, "input_layer", _FRONT_ENDS, path)
    if encoder["use_dynamic_chunk"]:
        encoder["static_chunk_size"] = 0  # WeNet looks at it only where chunks are not dynamic
    if encoder["use_dynamic_chunk"] and kind == "conformer" and encoder["use_cnn_module"] and not encoder["causal"]:
        _LOG.warning("%s: convolutions look past their chunk, so it comes over as a model of whole utterances", path)
        encoder |= {"use_dynamic_chunk": False, "use_dynamic_left_chunk": False}
    if encoder["activation_type"] == _ENCODERS[kind].kept["activation_type"]:
        encoder["activation_type"] = None
    positions = encoder["pos_enc_layer_type"]
    expected = _self_attention_of(positions)
    attention = (tree.get("encoder_conf") or {}).get("selfattention_layer_type", _SELF_ATTENTION[kind])
    if attention != expected:
        message = f"encoder_conf.selfattention_layer_type {attention} is not known here with {positions}"
        raise ConfigError(message, path=path)
    decoder = _translate(tree.get("decoder_conf") or {}, _DECODER, "decoder_conf", path)
    if tree["decoder"] == "transformer":
        decoder["r_num_blocks"] = 0
    model = _translate(tree.get("model_conf") or {}, _MODEL, "model_conf", path)
    if not decoder["r_num_blocks"]:
        model["reverse_weight"] = 0.0
    elif not model["reverse_weight"]:
        _LOG.warning("%s: the decoder from right to left was not trained (reverse_weight 0), and stays behind", path)
        decoder["r_num_blocks"] = 0
    _require_values(tree, path)
    given = (tree.get("dataset_conf") or {}).get("fbank_conf") or {}
    fbank = _translate(given, _FBANK, "dataset_conf.fbank_conf", path)
    is_bpe = tree["tokenizer"] == "bpe"
    text = {"case": "upper" if is_bpe else "keep", "normalise": False, "apostrophe": "keep", "split_han": is_bpe}
    ours = {
        "text": text,
        "features": {**fbank, "num_mel_bins": tree.get("input_dim", fbank["num_mel_bins"])},
        "model": {**model, "encoder": {"type": kind, **encoder}, "decoder": decoder},
    }
    return from_dict(ExperimentConfig, ours, path=path)


def sos_id(tree: Mapping[str, Any], vocab_size: int) -> int:
    """The unit that WeNet begins and ends texts with: the last one, unless its configuration tells another."""
    return int(_special_tokens(tree).get("<sos>", vocab_size - 1))


def config_to_wenet(
    features: FbankConfig, model: ModelConfig, vocab_size: int, bpe_model: str | None, path: Path
) -> dict[str, Any]:
    """What WeNet's `train.yaml` says of a model; file names are relative to the model directory.

    Heads and losses that only training needs are left out, and so are keys of which we know but WeNet's default:
    its older versions refuse some of them.

    Args:
        features, model: our configuration.
        vocab_size: units.
        bpe_model: name of the sentencepiece model; null where the units are characters.
        path: where the configuration stands, for messages.
    Raises:
        ConfigError: naming what WeNet does not have.
    """
    foreign = _unknown_to_wenet(model)
    if foreign:
        cure = "--format torchscript runs it in WeNet's C++ runtime"
        raise ConfigError(f"WeNet does not have {', '.join(f'model.{name}' for name in foreign)}", path=path, cure=cure)
    encoder, decoder = model.encoder, model.decoder
    return {
        "encoder": encoder.type,
        "encoder_conf": {
            **_kept(encoder, _ENCODERS[encoder.type]),
            "selfattention_layer_type": _self_attention_of(encoder.pos_enc_layer_type),
        },
        "decoder": "bitransformer" if decoder.r_num_blocks else "transformer",
        "decoder_conf": _kept(decoder, _DECODER),
        "tokenizer": "bpe" if bpe_model else "char",
        "tokenizer_conf": {
            "symbol_table_path": UNITS,
            "split_with_space": False,
            "bpe_path": bpe_model,
            "non_lang_syms_path": None,
            "is_multilingual": False,
            "num_languages": 1,
            "special_tokens": {BLANK: BLANK_ID, UNKNOWN: 1, "<sos>": SOS_ID, "<eos>": EOS_ID},
        },
        "ctc": "ctc",
        "ctc_conf": {"ctc_blank_id": BLANK_ID},
        "cmvn": "global_cmvn",
        "cmvn_conf": {"cmvn_file": CMVN, "is_json_cmvn": True},
        "model": "asr_model",
        "model_conf": _kept(model, _MODEL),
        "dataset": "asr",
        "dataset_conf": {
            "filter_conf": {},  # WeNet's recognize.py fills in this section and the last, but they must be there
            "resample_conf": {"resample_rate": SAMPLE_RATE},
            "fbank_conf": {"num_mel_bins": features.num_mel_bins, **_FRAME_MS, "dither": features.dither},
            "batch_conf": {},
        },
        "input_dim": features.num_mel_bins,
        "output_dim": vocab_size,
        "vocab_size": vocab_size,
        "dtype": "fp32",
    }


def _unknown_to_wenet(model: ModelConfig) -> list[str]:
    """Settings below `model` that shape it and have no counterpart in WeNet."""
    encoder = model.encoder
    positions, channels = encoder.pos_enc_layer_type, encoder.subsampling_channels
    found = {
        "encoder.pos_enc_layer_type rel_pos_true": positions == "rel_pos_true",
        "encoder.pos_enc_layer_type rel_pos in a transformer": positions == "rel_pos" and encoder.type == "transformer",
        f"encoder.input_layer {encoder.input_layer}": encoder.input_layer
        not in _FRONT_ENDS,  # its dwconv2d4 is another
        "encoder.moe": encoder.moe is not None,  # its experts know neither a shared embedding nor balance
        "multi_level.self_conditioning": model.multi_level is not None and model.multi_level.self_conditioning,
        f"encoder.subsampling_channels {channels}": channels not in (None, encoder.output_size),
    }
    return [name for name, is_set in found.items() if is_set]


def _self_attention_of(positions: str) -> str:
    return "rel_selfattn" if positions == "rel_pos" else "selfattn"


def _kept(config: EncoderConfig | TransformerDecoderConfig | ModelConfig, section: _Section) -> dict[str, Any]:
    values = {key: getattr(config, key) for key in section.kept}
    return {k: v for k, v in values.items() if k not in _SELDOM_SAID or v not in (None, section.kept[k])}


def _special_tokens(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    return (tree.get("tokenizer_conf") or {}).get("special_tokens") or {}


def _require_values(tree: Mapping[str, Any], path: Path) -> None:
    """Settings outside the network that must have their usual value, where they are given."""
    special = _special_tokens(tree)
    if special.get("<sos>") != special.get("<eos>"):
        raise ConfigError("tokenizer_conf.special_tokens has two different tokens for <sos> and <eos>", path=path)
    for key, expected in _USUAL.items():
        value: Any = tree
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None and value != expected:
            raise ConfigError(f"{key} {value} is not known here, only {expected}", path=path)


def _require(tree: Mapping[str, Any], key: str, known: tuple[str, ...], path: Path) -> None:
    if tree.get(key) not in known:
        raise ConfigError(f"{key} {tree.get(key)} is not known here, only {', '.join(known)}", path=path)


def _translate(conf: Mapping[str, Any], section: _Section, name: str, path: Path) -> dict[str, Any]:
    for key, value in conf.items():
        if key in section.fixed and value != section.fixed[key]:
            raise ConfigError(f"{name}.{key} {value} is not known here, only {section.fixed[key]}", path=path)
        if value != _OF_TRAINING.get(key, value):
            _LOG.warning("%s: training on goes without %s.%s: %s", path, name, key, value)
        passed_over = key in _IGNORED or key in _OF_TRAINING or key == "selfattention_layer_type"
        if not (key in section.kept or key in section.fixed or passed_over):
            raise ConfigError(f"{name}.{key} is not known here", path=path)
    return {key: conf.get(key, default) for key, default in section.kept.items()}
