"""Weight files: written whole, read without executing code, loaded strictly."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wenet_lite.errors import CheckpointError

_UNIT_ROWS = re.compile(r"(^|\.)(ctc_lo\.|output_layer\.|(left_|right_)?decoder\.embed\.0\.)(weight|bias)$")
_DAMAGE = (
    RuntimeError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError, OSError,
    ValueError, KeyError, IndexError, TypeError, AttributeError,
)  # fmt: skip
"""What torch.load raises over a file that is torn, or has bits flipped."""
_UNIT_COLUMNS = re.compile(r"(^|\.)conditioning\.\d+\.back\.weight$")


def save_atomically(tree: Any, path: Path) -> None:
    """`torch.save` that leaves either the whole file or none under `path`.

    Raises:
        OSError: if the disk is full or cannot be written to; what was under `path` before is still there.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as stream:
            torch.save(tree, stream)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        cause = error.__context__
        failure = cause if isinstance(error, RuntimeError) else error  # torch hides a full disk behind its own error
        if isinstance(failure, OSError):
            raise OSError(failure.errno, f"{failure.strerror}: {_disk_of(path)}", str(path)) from error
        raise
    temporary.replace(path)


def _disk_of(path: Path) -> str:
    """The disk that a file is to lie on, and what is free there."""
    folder = path.parent.resolve()
    mount = next(parent for parent in (folder, *folder.parents) if parent.is_mount())
    return f"the disk at {mount} has {shutil.disk_usage(folder).free / 2**20:.0f} MB free"


def load_tensors(path: str | os.PathLike[str], *, mmap: bool = False) -> Any:
    """`torch.load` without executing code from the file, onto the CPU.

    Args:
        path: the file.
        mmap: read a tensor from the disk only when it is used.
    Raises:
        CheckpointError: if the file is missing, torn or holds more than tensors and plain values.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except FileNotFoundError as error:
        raise CheckpointError("no such checkpoint", path=path) from error
    except _DAMAGE as error:
        raise CheckpointError("is torn or not a checkpoint", path=path) from error


def load_weights(model: nn.Module, state: dict[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Load a state_dict strictly.

    Raises:
        CheckpointError: naming the first tensors that are missing, unknown or of another shape.
    """
    own = model.state_dict()
    wrong = [f"{name} is missing" for name in own if name not in state]
    wrong += [f"{name} is unknown" for name in state if name not in own]
    wrong += [
        f"{name} has shape {tuple(state[name].shape)}, the model {tuple(own[name].shape)}"
        for name in own
        if name in state and own[name].shape != state[name].shape
    ]
    if wrong:
        raise CheckpointError(f"does not fit the model: {'; '.join(wrong[:3])}", path=path)
    model.load_state_dict(state)


def unit_axis(name: str) -> int | None:
    """The axis on which a tensor has an entry for each unit; None if it has none.

    It is the first of CTC heads and of the decoders' embeddings and output layers, the second where posteriors go in.
    """
    if _UNIT_ROWS.search(name):
        return 0
    return 1 if _UNIT_COLUMNS.search(name) else None
