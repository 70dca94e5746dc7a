"""Whether two configurations describe the same network: weights of another can fit in shape and yet be wrong."""

from __future__ import annotations

import os
from collections.abc import Iterable

from wenet_lite.errors import CheckpointError

_OF_TRAINING = (
    "dropout_rate", "_weight", "use_dynamic_chunk", "use_dynamic_left_chunk", "static_chunk_size"
)  # fmt: skip
"""Ends of the names of settings below `model` that change how it is trained, not what it computes."""
_HIDDEN = ("pos_enc_layer_type", "activation_type", "attention_heads", "causal", "top_k")


def architecture_changes(changes: Iterable[str]) -> list[str]:
    """Those of the `differences` of two experiments that make another network of the model.

    Args:
        changes: `key: before -> now` each.
    """
    found = []
    for change in changes:
        key = change.split(":", 1)[0]
        if key.startswith("model.") and not key.endswith(_OF_TRAINING):
            found.append(change)
    return found


def hidden_changes(changes: Iterable[str]) -> list[str]:
    """Those of the `differences` of two experiments that no shape of a tensor tells."""
    return [change for change in changes if change.startswith("model.") and change.split(":", 1)[0].endswith(_HIDDEN)]


def refuse_other_architecture(changes: Iterable[str], path: str | os.PathLike[str]) -> None:
    """Refuse to go on with the weights of another network.

    Args:
        changes: `differences` between the experiment of the weights and this one.
        path: of the weights.
    Raises:
        CheckpointError: naming what differs.
    """
    found = architecture_changes(changes)
    if found:
        cure = "train it into another --exp-dir, or with the configuration it had"
        raise CheckpointError(f"is of another model: {'; '.join(found[:3])}", path=path, cure=cure)
