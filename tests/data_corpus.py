"""Small Kaldi directories with real audio files, for the tests of this folder."""

from pathlib import Path

import numpy as np
import soundfile

from wenet_lite.data.kaldi import write_table
from wenet_lite.text.lang_dir import make_lang_dir
from wenet_lite.text.rules import TextRules

RATE = 16000


def noise(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """(samples,) float32, quantised to 16 bits so that lossless formats give it back."""
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate))
    return (np.round(samples * 32768) / 32768).astype(np.float32)


def write_data_dir(folder: Path, count: int, suffix: str = "wav") -> Path:
    """A Kaldi directory of `count` utterances of 0.3 to 1 s."""
    folder.mkdir(parents=True)
    wav, text, utt2spk = {}, {}, {}
    for i in range(count):
        key = f"spk-{i:04d}"
        path = folder / f"{key}.{suffix}"
        soundfile.write(path, noise(0.3 + 0.7 * i / count, i), RATE)
        wav[key], text[key], utt2spk[key] = str(path), ["GO ON", "STOP", "TURN LEFT"][i % 3], "spk"
    for name, table in {"wav.scp": wav, "text": text, "utt2spk": utt2spk}.items():
        write_table(folder / name, table)
    return folder


def write_lang_dir(folder: Path) -> Path:
    """A lang directory of characters."""
    make_lang_dir(["GO ON", "STOP", "TURN LEFT"], TextRules(), 50, "char", folder)
    return folder
