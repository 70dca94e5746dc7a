"""Many tensors told in few lines: grouped by module, with their number and size."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from torch import Tensor


def total_size(tensors: Collection[Tensor]) -> str:
    """Such as `38 tensors, 4.2 M values`."""
    values = sum(tensor.numel() for tensor in tensors)
    shown = f"{values / 1e6:.1f} M" if values >= 100_000 else str(values)
    return f"{len(tensors)} tensor{'' if len(tensors) == 1 else 's'}, {shown} values"


def group_by_module(names: Collection[str], everyone: Iterable[str]) -> dict[str, list[str]]:
    """Names by the outermost modules that are among them as a whole; numbered modules of a kind are one group.

    Args:
        names: such as `layers.6.norm.weight`, `layers.6.norm.bias`, `layers.7.norm.weight`, ...
        everyone: all names there are.
    Returns:
        such as `layers.6-7.norm.*` -> its names.
    """
    chosen = frozenset(names)
    mixed = {module for name in everyone if name not in chosen for module in _modules(name)}
    groups: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for name in names:
        module = next(module for module in (*_modules(name), name) if module not in mixed)
        kind = tuple("" if part.isdigit() else part for part in module.split("."))
        groups.setdefault(kind, []).append((module, name))
    return {_pattern(members): [name for _, name in members] for members in groups.values()}


def _modules(name: str) -> list[str]:
    """The modules around a tensor, outermost first."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _pattern(members: list[tuple[str, str]]) -> str:
    """One expression for the (module, name) of a group."""
    if len(members) == 1:
        return members[0][1]
    columns = zip(*(module.split(".") for module, _ in members))
    pattern = ".".join(_range(column) if column[0].isdigit() else column[0] for column in columns)
    return pattern if members[0][0] == members[0][1] else f"{pattern}.*"


def _range(numbers: Iterable[str]) -> str:
    found = sorted(set(map(int, numbers)))
    contiguous = len(found) > 1 and found[-1] - found[0] == len(found) - 1
    return f"{found[0]}-{found[-1]}" if contiguous else ",".join(map(str, found))
