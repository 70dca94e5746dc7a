"""Weights that a run starts from: the tensors of another run's checkpoint, none of them lost in silence."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wenet_lite.config import differences, load_yaml
from wenet_lite.errors import CheckpointError
from wenet_lite.model.architecture import hidden_changes
from wenet_lite.model.weights import load_tensors, load_weights, unit_axis
from wenet_lite.text.tokenizer import read_units
from wenet_lite.training.tensor_groups import group_by_module, total_size

_LOG = logging.getLogger(__name__)

_EXPERT = re.compile(r"\.experts\.\d+\.")
_CMVN = "encoder.global_cmvn."


class Fate(Enum):
    """What becomes of a tensor; all but `UNUSED` are of the model's tensors."""

    LOADED = "loaded"
    RESIZED = "resized"
    COPIED = "copied to experts"
    LEFT = "left"
    MISFIT = "left, of another shape"
    UNUSED = "unused"


_LOST = (Fate.LEFT, Fate.MISFIT, Fate.UNUSED)


@dataclass(frozen=True)
class Initialization:
    """What a model takes from a checkpoint.

    Attributes:
        own, given: all tensors of the model, as drawn, and of the checkpoint.
        values: what the model's tensors become; those that are left are not among them.
        fates: of each tensor of the model, and of those of the checkpoint that the model does not have.
        matched_units, new_units, dropped_units: units of both, of the model only, of the checkpoint only;
            all 0 where the checkpoint's are unknown.
        assumes_units: whether vocabulary tensors are loaded though the checkpoint's units are unknown.
    """

    own: Mapping[str, Tensor]
    given: Mapping[str, Tensor]
    values: dict[str, Tensor]
    fates: dict[str, Fate]
    matched_units: int
    new_units: int
    dropped_units: int
    assumes_units: bool

    def names(self, fate: Fate) -> list[str]:
        """The tensors with that fate."""
        return [name for name, its_fate in self.fates.items() if its_fate is fate]

    def total(self, fate: Fate) -> str:
        """Their number and size."""
        return total_size([self._tensors(fate)[name] for name in self.names(fate)])

    def groups(self, fate: Fate) -> list[str]:
        """They by module, with number and size, such as `decoder.right_decoder.* (38 tensors, 4.2 M values)`."""
        tensors, lines = self._tensors(fate), []
        for pattern, names in group_by_module(self.names(fate), tensors).items():
            size = total_size([tensors[name] for name in names])
            if fate is Fate.MISFIT:
                shapes = tuple(self.given[_source(names[0], self.given)].shape), tuple(tensors[names[0]].shape)
                size += f"; {names[0]} has shape {shapes[0]}, the model {shapes[1]}"
            lines.append(f"{pattern} ({size})")
        return lines

    def _tensors(self, fate: Fate) -> Mapping[str, Tensor]:
        return self.given if fate is Fate.UNUSED else self.own


def plan_initialization(
    own: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    own_units: Mapping[str, int],
    given_units: Mapping[str, int] | None,
) -> Initialization:
    """Find for each tensor of a model what a checkpoint has for it.

    A tensor is taken where name and shape agree. In those of the vocabulary, rows belong to units: where the units
    differ, rows are matched by the text of the unit, and new units keep the model's. Each expert of a mixture
    gets a copy of the dense layer in its place (sparse upcycling, arXiv 2212.05055).

    Args:
        own: state_dict of the model, with the values that it was drawn with.
        given: state_dict of the checkpoint.
        own_units: unit -> row in the model.
        given_units: unit -> row in the checkpoint, whose vocabulary tensors have one for each; None if unknown.
    """
    known = given_units if given_units is not None else {}
    pairs = [(row, known[unit]) for unit, row in own_units.items() if unit in known]
    other_units = given_units is not None and given_units != own_units
    fates: dict[str, Fate] = {}
    values: dict[str, Tensor] = {}
    for name, fresh in own.items():
        source = _source(name, given)
        if source not in given:
            fates[name] = Fate.LEFT
        elif other_units and _fits_but_for_units(name, given[source], fresh):
            fates[name], values[name] = Fate.RESIZED, _matched(name, fresh, given[source], pairs)
        elif given[source].shape != fresh.shape:
            fates[name] = Fate.MISFIT
        else:
            fates[name], values[name] = (Fate.LOADED if source == name else Fate.COPIED), given[source]
    sources = {_source(name, given) for name in own}
    fates.update({name: Fate.UNUSED for name in given if name not in sources})
    return Initialization(
        own=own,
        given=given,
        values=values,
        fates=fates,
        matched_units=len(pairs),
        new_units=len(own_units) - len(pairs) if known else 0,
        dropped_units=len(known) - len(pairs),
        assumes_units=given_units is None and any(map(_is_of_vocabulary, values)),
    )


def initialize(
    model: nn.Module,
    units: Mapping[str, int],
    path: str | os.PathLike[str],
    resolved: Mapping[str, Any],
    *,
    partial: bool = False,
) -> Initialization:
    """Start a model from the weights of a checkpoint, its CMVN included.

    Args:
        model: with the weights that it was drawn with.
        units: unit -> id of the model.
        path: a bare state_dict or a training checkpoint; its units.txt, and train.yaml, are looked for in its
            `unit_folders`.
        resolved: configuration of this experiment.
        partial: whether tensors of either side may be left over, or come from another network.
    Raises:
        CheckpointError: if the file cannot be used, nothing of it fits the model, or, but for `partial`, not all, or
            its configuration tells another use of the same tensors.
        DataError: if its units.txt is malformed.
    """
    given, config = _read_weights(path)
    units_path = next(filter(Path.is_file, (folder / "units.txt" for folder in unit_folders(path))), None)
    given_units = read_units(units_path) if units_path else None
    for name, tensor in given.items():
        axis = unit_axis(name)
        if given_units is not None and axis is not None and tensor.shape[axis] != len(given_units):
            message = f"{name} has shape {tuple(tensor.shape)}, but {units_path} {len(given_units)} units"
            raise CheckpointError(message, path=path, cure="put the checkpoint's own units.txt beside it")
    plan = plan_initialization(model.state_dict(), given, units, given_units)
    if not plan.values.keys() & dict(model.named_parameters()).keys():
        raise CheckpointError("has no weight that fits the model", path=path, cure="is it of such a model?")
    lost = [f"{fate.value}: {', '.join(plan.groups(fate))}" for fate in _LOST if plan.names(fate)]
    lost += [f"the checkpoint has another {change}" for change in hidden_changes(differences(config, resolved))]
    if lost and not partial:
        unmatched = given_units is None and any(map(_is_of_vocabulary, plan.names(Fate.MISFIT)))
        cure = f"{'put its units.txt beside it, or ' if unmatched else ''}accept that with --init-partial"
        raise CheckpointError(f"does not fill the model: {'; '.join(lost)}", path=path, cure=cure)
    load_weights(model, {**plan.own, **plan.values}, path)
    return plan


def log_initialization(plan: Initialization, path: str | os.PathLike[str]) -> None:
    """Log what became of all tensors: the number and size of each fate, the modules that are not just taken over."""
    _LOG.info("the model starts from %s", path)
    for fate in Fate:
        if plan.names(fate):
            _LOG.info("%s: %s", fate.value, plan.total(fate))
        if fate is Fate.RESIZED or fate in _LOST:
            for group in plan.groups(fate):
                _LOG.info("%s: %s", fate.value, group)
    if plan.names(Fate.RESIZED):
        counts = plan.matched_units, plan.new_units, plan.dropped_units
        _LOG.info("units: %d matched, %d new, %d of the checkpoint's dropped", *counts)
    if plan.assumes_units:
        _LOG.warning("no units.txt beside %s: its units are assumed to be equal to this run's", path)
    if any(name.startswith(_CMVN) for name in plan.values):
        _LOG.info("CMVN: the checkpoint's statistics, which its weights expect, not those of --cmvn")


def unit_folders(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Where the units.txt of a checkpoint may be: in its folder, or in the one above `checkpoints/`."""
    folder = Path(os.path.abspath(path)).parent
    return (folder, folder.parent) if folder.name == "checkpoints" else (folder,)


def _source(name: str, given: Mapping[str, Tensor]) -> str:
    """Name in the checkpoint: the same, or that of the dense layer in an expert's place."""
    return name if name in given else _EXPERT.sub(".", name)


def _is_of_vocabulary(name: str) -> bool:
    return unit_axis(name) is not None


def _fits_but_for_units(name: str, given: Tensor, fresh: Tensor) -> bool:
    axis = unit_axis(name)
    return axis is not None and given.movedim(axis, 0).shape[1:] == fresh.movedim(axis, 0).shape[1:]


def _matched(name: str, fresh: Tensor, given: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
    """The model's tensor with the entries of `pairs` (here, there) of units taken from `given`."""
    axis = unit_axis(name)
    assert axis is not None
    here, there = torch.tensor(pairs, dtype=torch.long).view(-1, 2).unbind(1)
    return fresh.index_copy(axis, here.to(fresh.device), given.index_select(axis, there).to(fresh))


def _read_weights(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """The state_dict of a checkpoint, and the configuration that it or the train.yaml beside it has."""
    tree = load_tensors(path)
    state = tree.get("model", tree) if isinstance(tree, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError("is neither a state_dict nor a training checkpoint", path=path)
    if isinstance(tree.get("config"), dict):
        return state, tree["config"]
    files = [folder / "train.yaml" for folder in unit_folders(path)]
    return state, next((load_yaml(file) for file in files if file.is_file()), {})
