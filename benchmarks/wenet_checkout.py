"""Import parts of a WeNet checkout that is not installed, without the packages that those parts do not need."""

from __future__ import annotations

import os
import sys
import types
import typing
from pathlib import Path

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
