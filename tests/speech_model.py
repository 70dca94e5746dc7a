"""A small streaming Conformer that knows some utterances of real speech by heart, made by the recipe's commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wenet_lite.config import dump_yaml, from_dict
from wenet_lite.data.kaldi import read_table, spk2utt_from, write_table
from wenet_lite.data.manifest import read_manifest
from wenet_lite.data.utterance import Utterance
from wenet_lite.experiment import ExperimentConfig

PART = "LibriSpeech/test-other-mini"
UTTERANCES = (
    "1688-142285-0009",
    "1998-15444-0007",
    "2609-156975-0003",
    "3331-159605-0004",
    "367-130732-0009",
    "533-1066-0009",
)
"""Of six readers, 2 to 4 seconds each; no two begin alike."""
NO_DROPOUT = {"dropout_rate": 0.0, "positional_dropout_rate": 0.0}
CONFIG = {
    "model": {
        "ctc_weight": 0.5,
        "lsm_weight": 0.0,
        "reverse_weight": 0.3,
        "encoder": {
            "output_size": 96,
            "attention_heads": 4,
            "linear_units": 192,
            "num_blocks": 3,
            "subsampling_channels": 32,
            "pos_enc_layer_type": "rel_pos_true",
            "causal": True,
            "use_dynamic_chunk": True,
            "use_dynamic_left_chunk": True,
            "attention_dropout_rate": 0.0,
            **NO_DROPOUT,
        },
        "decoder": {"attention_heads": 4, "linear_units": 192, "num_blocks": 1, "r_num_blocks": 1, **NO_DROPOUT},
    },
    # bucket_width: all six in one batch, whatever their lengths
    "batch": {"max_frames": 2400, "max_frames_per_utterance": 600, "speed_factors": [1.0], "bucket_width": 1.0},
    "training": {
        "max_epochs": 2,
        "num_workers": 0,
        "log_interval": 50,
        "checkpoint_interval": 0,
        "optimizer": {"type": "adamw", "lr": 0.003, "betas": [0.9, 0.98]},
        "schedule": {"type": "cosine", "warmup_updates": 30},
        "spec_augment": None,
    },
}
TIMES_AN_EPOCH = 110
"""How often an epoch hears each utterance."""


@dataclass(frozen=True)
class SpeechModel:
    """Attributes:
    exp_dir: of the training, with `avg_1.pt`.
    data_list: what the model knows by heart.
    utterances: of that list, ordered by key; `txt` is what each search hears in them, whole or in chunks.
    model_dir: the exported model.
    """

    exp_dir: Path
    data_list: Path
    utterances: list[Utterance]
    model_dir: Path


def make_speech_model(corpora: Path, folder: Path) -> SpeechModel:
    """Train in about half a minute of one core.

    Args:
        corpora: real speech in LibriSpeech's layout.
        folder: to fill.
    """
    from wenet_lite.bin import average, compute_cmvn, export, make_list, train, train_bpe

    data, config, cmvn = folder / "data", folder / "speech.yaml", str(folder / "global_cmvn")
    exp_dir, lang, model_dir = folder / "exp", str(folder / "lang"), folder / "model"
    data_list, checkpoint = data / "data.list", str(exp_dir / "avg_1.pt")
    _write_data_dir(corpora / PART, data)
    dump_yaml(from_dict(ExperimentConfig, CONFIG), config)
    compute_cmvn.main(["--data-dir", str(data), "--config", str(config), "--jobs", "1", "--output", cmvn])
    units = ["--vocab-size", "60", "--model-type", "bpe"]
    train_bpe.main(["--text", str(data / "text"), *units, "--output-dir", lang])
    make_list.main(["--data-dir", str(data), "--lang-dir", lang, "--output", str(data_list)])
    run = ["--config", str(config), "--exp-dir", str(exp_dir), "--device", "cpu", "--lang-dir", lang, "--cmvn", cmvn]
    lists = ["--train-data", f"{data_list}:{TIMES_AN_EPOCH}", "--dev-data", str(data_list)]
    assert train.main([*run, *lists]) == 0
    assert average.main(["--exp-dir", str(exp_dir), "--num", "1", "--output", checkpoint]) == 0
    trained = ["--exp-dir", str(exp_dir), "--checkpoint", checkpoint]
    assert export.main([*trained, "--check-data", str(data_list), "--output", str(model_dir), "--quantize"]) == 0
    return SpeechModel(exp_dir, data_list, list(read_manifest(data_list)), model_dir)


def _write_data_dir(part: Path, data_dir: Path) -> None:
    """A Kaldi data directory of UTTERANCES."""
    wav, text, utt2spk = {}, {}, {}
    for key in UTTERANCES:
        speaker, chapter, _ = key.split("-")
        folder = part / speaker / chapter
        wav[key], utt2spk[key] = str(folder / f"{key}.flac"), speaker
        text[key] = read_table(folder / f"{speaker}-{chapter}.trans.txt")[key]
    data_dir.mkdir(parents=True)
    tables = {"wav.scp": wav, "text": text, "utt2spk": utt2spk, "spk2utt": spk2utt_from(utt2spk)}
    for name, table in tables.items():
        write_table(data_dir / name, table)
