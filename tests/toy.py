"""A toy corpus that trains in seconds: words are melodies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from wenet_lite.config import dump_yaml, from_dict
from wenet_lite.data.kaldi import spk2utt_from, write_table
from wenet_lite.experiment import ExperimentConfig

ROOT = Path(__file__).resolve().parents[1]
WORDS = {"DO": (300, 500), "RE": (800, 600), "MI": (1200, 2000), "FA": (2500, 1500), "SOL": (3000, 400)}
CONFIG = {
    "features": {"num_mel_bins": 20},
    "model": {
        "encoder": {
            "output_size": 16,
            "attention_heads": 2,
            "linear_units": 32,
            "num_blocks": 2,
            "subsampling_channels": 4,
            "cnn_module_kernel": 5,
            "dropout_rate": 0.1,
        },
        "decoder": {"attention_heads": 2, "linear_units": 32, "num_blocks": 1},
    },
    "batch": {
        "max_frames": 500,
        "max_frames_per_utterance": 400,
        "micro_batches_per_update": 2,
        "speed_factors": [0.9, 1.0, 1.1],
    },
    "training": {
        "max_epochs": 2,
        "num_workers": 0,
        "log_interval": 1,
        "checkpoint_interval": 2,
        "optimizer": {"lr": 0.003},
        "schedule": {"warmup_updates": 5},
    },
}


@dataclass(frozen=True)
class Toy:
    """Files of the toy corpus.

    Attributes:
        folder: holds train/ and dev/ (Kaldi directories with data.list), lang/, global_cmvn and toy.yaml.
    """

    folder: Path

    def train_arguments(self, exp_dir: Path, *settings: str) -> list[str]:
        """Arguments of `wenet_lite.bin.train`, on the CPU."""
        overrides = [argument for setting in settings for argument in ("--set", setting)]
        return [
            *("--config", str(self.folder / "toy.yaml"), "--exp-dir", str(exp_dir), "--device", "cpu"),
            *("--train-data", str(self.folder / "train/data.list"), "--dev-data", str(self.folder / "dev/data.list")),
            *("--lang-dir", str(self.folder / "lang"), "--cmvn", str(self.folder / "global_cmvn"), *overrides),
        ]


def make_toy(folder: Path, words: Mapping[str, tuple[int, ...]] = WORDS, separator: str = " ", train: int = 24) -> Toy:
    """Write the toy corpus, its lang directory, statistics and configuration.

    Args:
        folder: to fill.
        words: frequencies in Hz of each word's notes.
        separator: between the words of a text.
        train: utterances of the training part.
    """
    from wenet_lite.bin import compute_cmvn, make_list, train_bpe

    random = np.random.default_rng(0)
    for part, count in (("train", train), ("dev", 6)):
        _write_part(folder / part, part, count, random, words, separator)
    dump_yaml(from_dict(ExperimentConfig, CONFIG), folder / "toy.yaml")
    lang = str(folder / "lang")
    train_bpe.main(
        ["--text", str(folder / "train/text"), "--vocab-size", "20", "--model-type", "char", "--output-dir", lang]
    )
    for part in ("train", "dev"):
        data = str(folder / part)
        make_list.main(["--data-dir", data, "--lang-dir", lang, "--output", f"{data}/data.list"])
    cmvn = ["--data-dir", str(folder / "train"), "--config", str(folder / "toy.yaml"), "--jobs", "1"]
    compute_cmvn.main([*cmvn, "--output", str(folder / "global_cmvn")])
    return Toy(folder)


def _write_part(
    folder: Path,
    part: str,
    count: int,
    random: np.random.Generator,
    melodies: Mapping[str, tuple[int, ...]],
    separator: str,
) -> None:
    folder.mkdir(parents=True)
    wav, text, utt2spk = {}, {}, {}
    for i in range(count):
        key = f"{part}-{i:02d}"
        words = [list(melodies)[j] for j in random.integers(len(melodies), size=random.integers(2, 5))]
        path = folder / f"{key}.wav"
        soundfile.write(path, sing([melodies[word] for word in words], random), 16000)
        wav[key], text[key], utt2spk[key] = str(path), separator.join(words), part
    tables = {"wav.scp": wav, "text": text, "utt2spk": utt2spk, "spk2utt": spk2utt_from(utt2spk)}
    for name, table in tables.items():
        write_table(folder / name, table)


def sing(melodies: list[tuple[int, ...]], random: np.random.Generator) -> np.ndarray:
    """(samples,) float32 at 16 kHz."""
    parts = [np.zeros(1600)]
    for melody in melodies:
        for frequency in melody:
            parts.append(0.3 * np.sin(2 * np.pi * frequency * np.arange(2400) / 16000))
        parts.append(np.zeros(1600))
    song = np.concatenate(parts)
    return (song + 0.003 * random.standard_normal(len(song))).astype(np.float32)


def run_module(module: str, *arguments: str, processes: int = 1, **options) -> subprocess.CompletedProcess[str]:
    """Run `python -m module`, under torchrun where `processes` is more than one."""
    launcher = [] if processes == 1 else ["wenet_lite.bin.launch", str(processes)]
    command = [sys.executable, "-m", *launcher, module, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, **options)
