"""Weights of a language model, and the tuned ones as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from wenet_lite.config import from_dict, to_dict
from wenet_lite.data.kaldi import PathLike, write_lines
from wenet_lite.errors import DataError

_SCHEMA = 1
T = TypeVar("T")


@dataclass(frozen=True)
class LmWeights:
    """A score becomes: score + lm_weight * log p(text) + word_bonus * words.

    Attributes:
        lm_weight: of the language model's natural log probability.
        word_bonus: for each word, against the language model's preference for few of them.
    """

    lm_weight: float
    word_bonus: float


def write_weights(weights: Any, path: PathLike) -> None:
    """Write a dataclass of weights, by rename.

    Raises:
        DataError: if there is no such folder.
    """
    write_lines(path, [json.dumps({"schema": _SCHEMA, **to_dict(weights)}).encode()])


def read_weights(kind: type[T], path: PathLike, cure: str) -> T:
    """Read what `write_weights` wrote.

    Args:
        kind: the dataclass.
        path: the file.
        cure: what to do about a file that does not serve.
    Raises:
        DataError: if the file cannot be read or is no JSON of schema 1.
        ConfigError: if a value is missing or of the wrong type.
    """
    try:
        tree = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror}", path=path, cure=cure) from error
    except ValueError as error:
        raise DataError("is not JSON", path=path, cure=cure) from error
    if not isinstance(tree, dict) or tree.pop("schema", None) != _SCHEMA:
        raise DataError(f"has no weights of schema {_SCHEMA}", path=path, cure=cure)
    return from_dict(kind, tree, path=path)
