"""Import parts of a WeNet checkout that is not installed, without the packages that those parts do not need."""

from __future__ import annotations

import logging
import os
import sys
import types
import typing
from pathlib import Path

import soundfile
import torch


def open_checkout(checkout: Path) -> None:
    """Make `wenet.*` importable from a checkout, without what `wenet/__init__.py` pulls in.

    Its convolutions import `Union` from torch, which no longer has it, and its tokenizers import `whisper`.
    """
    package = types.ModuleType("wenet")
    package.__path__ = [os.fspath(checkout / "wenet")]
    sys.modules["wenet"] = package
    vars(torch.nn.modules.conv).setdefault("Union", typing.Union)
    tokenizer = types.ModuleType("whisper.tokenizer")
    vars(tokenizer)["LANGUAGES"] = {}
    sys.modules.update({"whisper": types.ModuleType("whisper"), "whisper.tokenizer": tokenizer})


def repair_wenet(checkout: Path) -> None:
    """Make WeNet's pipeline importable, without the rest of WeNet, and mend what torchaudio has removed since."""
    open_checkout(checkout)
    import torchaudio

    def load(path: str) -> tuple[torch.Tensor, int]:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return torch.from_numpy(samples.T.copy()), rate

    def apply_effects_tensor(wave: torch.Tensor, rate: int, effects: list[list[str]]) -> tuple[torch.Tensor, int]:
        return torchaudio.functional.speed(wave, rate, float(effects[0][1]))[0], rate

    torchaudio.load = load
    torchaudio.sox_effects = type("sox_effects", (), {"apply_effects_tensor": staticmethod(apply_effects_tensor)})
    logging.getLogger().setLevel(logging.ERROR)
