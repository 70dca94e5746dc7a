"""The model directory: all that recognition needs, checked by hash."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from wenet_lite.config import dump_yaml, from_dict, load_yaml
from wenet_lite.errors import CheckpointError, ConfigError
from wenet_lite.features.fbank import Fbank, FbankConfig
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.model_config import TRAINING_ONLY, ModelConfig
from wenet_lite.model.weights import load_tensors, load_weights, save_atomically
from wenet_lite.text.tokenizer import Tokenizer, copy_lang_files, load_tokenizer

SCHEMA = 1
DESCRIPTION = "model.yaml"
WEIGHTS = "model.pt"
CALIBRATION = "calibration.json"
"""Of word confidences, by `calibrate`; one may be there."""
_CTC_BIAS = "ctc.ctc_lo.bias"
_CURE = "stage 7 of the recipe leaves one in the run's folder as model/, wenet-lite export makes one"


@dataclass(frozen=True)
class ModelDescription:
    """`model.yaml` of a model directory.

    Attributes:
        features: the front end.
        model: the network.
        schema: version of this file's format.
        sha256: hash of each other file.
    """

    features: FbankConfig
    model: ModelConfig
    schema: int = SCHEMA
    sha256: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema {self.schema} is not known, only {SCHEMA}")


@dataclass(frozen=True)
class LoadedModel:
    """Attributes:
    model: in eval mode, float32.
    fbank: its front end.
    tokenizer: its units and text rules.
    """

    model: AsrModel
    fbank: Fbank
    tokenizer: Tokenizer


@contextmanager
def new_folder(target: Path, source: Path, weights: str = WEIGHTS) -> Iterator[Path]:
    """A folder to fill; it replaces `target` when the block ends, and vanishes if the block fails.

    Of what was there only `lm/` stays, the language model, which is made after the model.

    Args:
        target: the folder to make.
        source: the folder that it is made from.
        weights: a file that a folder of this kind has; one without it, unless empty, is not replaced.
    Raises:
        ConfigError: if `target` is the source or holds it, or holds what is no model.
    """
    cure = "name another folder"
    if source.resolve().is_relative_to(target.resolve()):
        raise ConfigError(f"would replace {source}, which it is made from", path=target, cure=cure)
    if target.exists() and not target.is_dir():
        raise ConfigError("is a file", path=target, cure=cure)
    if target.exists() and not (target / weights).exists() and any(path.name != "lm" for path in target.iterdir()):
        message = f"would be replaced, but holds other things than a model: no {weights}"
        raise ConfigError(message, path=target, cure=cure)
    target = target.resolve()  # where it is a link, what it leads to is replaced
    temporary, old = target.with_name(target.name + ".tmp"), target.with_name(target.name + ".replaced")
    if old.exists() and not target.exists():  # killed between two renames
        old.replace(target)
    for rest in (temporary, old):
        shutil.rmtree(rest, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if (target / "lm").is_dir():
            shutil.copytree(target / "lm", temporary / "lm")
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if target.exists():
        target.replace(old)
    temporary.replace(target)
    shutil.rmtree(old, ignore_errors=True)


class ModelDir:
    """A model directory, opened.

    Args:
        folder: what `export` wrote.
    Attributes:
        path: the folder.
        description: its `model.yaml`.
    Raises:
        ConfigError: if `model.yaml` is missing or malformed.
        CheckpointError: if its units, text rules or statistics were changed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder)
        source = self.path / DESCRIPTION
        if not source.is_file():
            raise ConfigError(f"is no model directory: it has no {DESCRIPTION}", path=folder, cure=_CURE)
        self.description = from_dict(ModelDescription, load_yaml(source), path=source)
        for name in self.description.sha256:
            if "/" not in name and not name.endswith((".pt", ".zip")):
                self.file(name)

    def file(self, name: str) -> Path:
        """A file of it that is as it was exported.

        Args:
            name: relative to the folder.
        Raises:
            ConfigError: if it was not exported.
            CheckpointError: if it is missing or was changed since.
        """
        path = self.path / name
        if name not in self.description.sha256:
            raise ConfigError("was not exported", path=path, cure="see wenet-lite export --help for the formats")
        if not path.is_file():
            raise CheckpointError("is missing", path=path, cure="export the model again")
        if _sha256(path) != self.description.sha256[name]:
            raise CheckpointError("is not the file that was exported", path=path, cure="export the model again")
        return path


def load_model_dir(folder: str | os.PathLike[str]) -> LoadedModel:
    """Load the PyTorch weights of a model directory.

    Raises:
        ConfigError: if `model.yaml` is missing or malformed.
        CheckpointError: if a file was changed since it was written, or does not fit.
    """
    opened = ModelDir(folder)
    return load_model(opened.description, opened.file(WEIGHTS), opened.path)


def load_model(description: ModelDescription, weights: Path, lang_dir: Path) -> LoadedModel:
    """Build a model and load its weights strictly, without the heads that only training needs.

    Raises:
        CheckpointError: if the weights are torn, a training checkpoint, of another network, or for other units.
    """
    tokenizer = load_tokenizer(lang_dir)
    state = load_tensors(weights)
    if "optimizer" in state:
        raise CheckpointError("is a training checkpoint", path=weights, cure="wenet-lite average makes a model of it")
    trained = len(state.get(_CTC_BIAS, ()))
    if trained not in (0, tokenizer.vocab_size):
        raise CheckpointError(
            f"has {trained} units, {lang_dir / 'units.txt'} has {tokenizer.vocab_size}",
            path=weights,
            cure="give the folder that it was trained in",
        )
    config = description.model.shipped
    if config != description.model:
        state = {name: value for name, value in state.items() if not name.startswith(TRAINING_ONLY)}
    model = AsrModel(config, description.features.num_mel_bins, tokenizer.vocab_size)
    load_weights(model, state, weights)
    return LoadedModel(model.eval(), Fbank(description.features).eval(), tokenizer)


def write_model_dir(loaded: LoadedModel, description: ModelDescription, source: Path, target: Path) -> None:
    """Write weights, units, text rules and statistics into the folder `target`.

    Args:
        loaded: the model.
        description: features and model; the hashes are computed in `seal_model_dir`.
        source: the experiment directory that holds the lang files and `global_cmvn`.
        target: an existing folder.
    """
    copy_lang_files(source, target)
    shutil.copyfile(source / "global_cmvn", target / "global_cmvn")
    save_atomically(loaded.model.state_dict(), target / WEIGHTS)
    seal_model_dir(description, target)


def seal_model_dir(description: ModelDescription, target: Path) -> None:
    """Write `model.yaml` with the hash of every file of the folder and the folders in it."""
    files = (path for path in target.rglob("*") if path.is_file())
    names = sorted(name for name in (path.relative_to(target).as_posix() for path in files) if name != DESCRIPTION)
    hashes = {name: _sha256(target / name) for name in names}
    dump_yaml(ModelDescription(description.features, description.model.shipped, SCHEMA, hashes), target / DESCRIPTION)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
