"""Calibration of confidences: logistic regression on a dev set, kept as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wenet_lite.config import from_dict
from wenet_lite.decoding.confidence import Evidence
from wenet_lite.errors import ConfigError

SCHEMA = 1
_NEWTON_STEPS = 30
_EXTREME = 1e-5


@dataclass(frozen=True)
class Logistic:
    """1 / (1 + exp(-sum)), where `sum` adds up what the evidence weighs.

    Attributes:
        bias: constant.
        posterior, worst_posterior: weights of the log odds of these.
        nbest_share: weight of the share; one that is not there weighs nothing.
    """

    bias: float
    posterior: float
    worst_posterior: float
    nbest_share: float = 0.0

    def __call__(self, evidence: Evidence) -> float:
        """Confidence in a word."""
        weights = np.array([self.bias, self.posterior, self.worst_posterior, self.nbest_share])
        return float(_sigmoid(_rows([evidence]) @ weights)[0])


@dataclass(frozen=True)
class Calibration:
    """From evidence to confidence, as fitted on a dev set.

    Attributes:
        posterior: where there is no n-best.
        nbest: where there is one.
        schema: version of the file's format.
    """

    posterior: Logistic
    nbest: Logistic
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema {self.schema} is not known, only {SCHEMA}")

    def __call__(self, evidence: Evidence) -> float:
        """Confidence in a word, between 0 and 1."""
        return (self.posterior if evidence.nbest_share is None else self.nbest)(evidence)


def fit_calibration(evidence: Sequence[Evidence], correct: Sequence[bool]) -> Calibration:
    """Fit by maximum likelihood, under a Gaussian prior of variance 1 on the weights.

    Args:
        evidence: of each word of a dev set's best hypotheses, with n-best shares.
        correct: whether the word is right.
    Raises:
        ConfigError: if all words are right, or all are wrong, or an n-best share is missing.
    """
    if len(set(correct)) < 2:
        raise ConfigError(
            "confidence is calibrated on words of which some are right and some are wrong", cure="take a larger dev set"
        )
    if any(word.nbest_share is None for word in evidence):
        raise ConfigError("confidence is calibrated on words with n-best shares")
    rows = _rows(evidence)
    labels = np.asarray(correct, dtype=np.float64)
    return Calibration(
        Logistic(*_logistic_regression(rows[:, :3], labels)),
        Logistic(*_logistic_regression(rows, labels)),
    )


def write_calibration(calibration: Calibration, path: str | os.PathLike[str]) -> None:
    """Write JSON, by rename."""
    target = Path(path)
    temporary = target.with_name(target.name + ".tmp")
    temporary.write_text(json.dumps(asdict(calibration), indent=1) + "\n", encoding="utf-8")
    temporary.replace(target)


def read_calibration(path: str | os.PathLike[str]) -> Calibration:
    """Read what `write_calibration` wrote.

    Raises:
        ConfigError: if the file is missing, malformed or of another schema.
    """
    try:
        tree: Any = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the calibration: {error.strerror}", path=path) from error
    except ValueError as error:
        raise ConfigError("is not JSON", path=path, cure="fit the calibration again") from error
    if not isinstance(tree, dict):
        raise ConfigError("is not an object of keys and values", path=path, cure="fit the calibration again")
    return from_dict(Calibration, tree, path=path)


def _rows(evidence: Sequence[Evidence]) -> np.ndarray:
    """(words, 4): 1, log odds of both posteriors, n-best share."""
    columns = [(1.0, word.posterior, word.worst_posterior, word.nbest_share or 0.0) for word in evidence]
    rows = np.array(columns, dtype=np.float64)
    posteriors = rows[:, 1:3].clip(_EXTREME, 1 - _EXTREME)
    rows[:, 1:3] = np.log(posteriors / (1 - posteriors))
    return rows


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _logistic_regression(rows: np.ndarray, labels: np.ndarray) -> list[float]:
    """Weights by Newton's method; rows: (words, weights), labels: (words,) 0 or 1."""
    weights = np.zeros(rows.shape[1])
    prior = np.eye(len(weights))
    prior[0, 0] = 1e-6  # the bias is free
    for _ in range(_NEWTON_STEPS):
        probabilities = _sigmoid(rows @ weights)
        gradient = rows.T @ (labels - probabilities) - prior @ weights
        curvature = (rows.T * (probabilities * (1 - probabilities))) @ rows + prior
        weights += np.linalg.solve(curvature, gradient)
    return weights.tolist()
