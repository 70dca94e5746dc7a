"""YAML to frozen dataclasses and back: every key is known, every value has its declared type."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import types
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import yaml

from wenet_lite.errors import ConfigError

T = TypeVar("T")


def load_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: if the file is missing, is not YAML or is not a mapping.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            tree = yaml.safe_load(stream)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration: {error.strerror}", path=path) from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8", path=path) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        raise ConfigError(f"is not valid YAML: {getattr(error, 'problem', error)}", path=path, line=line) from error
    if not isinstance(tree, dict):
        raise ConfigError("is not a mapping of keys to values", path=path)
    return tree


def dump_yaml(config: Any, path: str | os.PathLike[str]) -> None:
    """Write a dataclass (or mapping) as YAML, in the order of its fields, by rename."""
    tree = to_dict(config) if dataclasses.is_dataclass(config) else config
    target = Path(path)
    temporary = target.with_name(target.name + ".tmp")
    temporary.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")
    temporary.replace(target)


def to_dict(config: Any) -> Any:
    """Turn nested dataclasses into plain mappings and lists, as YAML writes them."""
    if dataclasses.is_dataclass(config):
        return {field.name: to_dict(getattr(config, field.name)) for field in dataclasses.fields(config)}
    if isinstance(config, (list, tuple)):
        return [to_dict(item) for item in config]
    if isinstance(config, Mapping):
        return {key: to_dict(value) for key, value in config.items()}
    return config


def from_dict(cls: type[T], tree: Mapping[str, Any], *, path: str | os.PathLike[str] | None = None, at: str = "") -> T:
    """Build the dataclass `cls` from a mapping.

    Args:
        cls: a dataclass; fields without a default are required.
        tree: the mapping; keys are field names.
        path: the file it came from, for messages.
        at: dotted position of `tree` in that file, for messages.
    Raises:
        ConfigError: for an unknown key (naming the nearest valid one), a missing key, or a wrong type.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    for key in tree:
        if key not in fields:
            raise ConfigError(f"unknown key '{_join(at, str(key))}'{_nearest(str(key), fields)}", path=path)
    values = {key: _convert(hints[key], value, path, _join(at, key)) for key, value in tree.items()}
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise ConfigError(f"key '{_join(at, name)}' is missing", path=path)
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"'{at}': {error}" if at else str(error), path=path) from error


def apply_overrides(tree: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return `tree` with `a.b=value` settings applied; values are read as YAML.

    Raises:
        ConfigError: if an override is not of the form `key=value` or descends into a plain value.
    """
    result = to_dict(tree)
    for override in overrides:
        dotted, separator, value = override.partition("=")
        if not separator or not dotted:
            raise ConfigError(f"--set takes key=value, got '{override}'")
        *parents, leaf = dotted.split(".")
        node = result
        for parent in parents:
            if node.get(parent) is None:  # an optional section that is switched off
                node[parent] = {}
            node = node[parent]
            if not isinstance(node, dict):
                raise ConfigError(f"--set {override}: '{parent}' is not a section")
        try:
            node[leaf] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {override}: the value is not valid YAML") from error
    return result


def differences(before: Mapping[str, Any], now: Mapping[str, Any], at: str = "") -> list[str]:
    """Values that differ between two configurations, each as `key: before -> now`."""
    changed = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changed += differences(old, new, _join(at, key))
        elif old != new:
            changed.append(f"{_join(at, key)}: {old} -> {new}")
    return changed


def _join(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def _nearest(key: str, valid: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key, valid, n=1, cutoff=0.0)
    return f"; did you mean '{close[0]}'?" if close else ""


def _convert(hint: Any, value: Any, path: str | os.PathLike[str] | None, at: str) -> Any:
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return _convert(inner, value, path, at)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"'{at}' must be one of {', '.join(map(str, arguments))}, got '{value}'", path=path)
        return value
    if origin is tuple and isinstance(value, (list, tuple)):
        inner_hints = [arguments[0]] * len(value) if arguments[-1] is ... else list(arguments)
        if len(inner_hints) != len(value):
            raise ConfigError(f"'{at}' needs {len(inner_hints)} values, got {len(value)}", path=path)
        return tuple(
            _convert(inner, item, path, f"{at}[{i}]") for i, (inner, item) in enumerate(zip(inner_hints, value))
        )
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, Mapping):
            return from_dict(hint, value, path=path, at=at)
        raise ConfigError(f"'{at}' must be a section of keys and values, got {value!r}", path=path)
    if hint is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        with suppress(ValueError):
            number = float(value)  # YAML 1.1 reads 1e-3 as text
            if not math.isnan(number):  # which passes all checks of ranges
                return number
    if hint in (int, str, bool) and type(value) is hint:
        return value
    if hint is Any:
        return value
    if origin is dict and isinstance(value, Mapping):
        return {key: _convert(arguments[1], item, path, _join(at, str(key))) for key, item in value.items()}
    name = getattr(hint, "__name__", str(hint))
    raise ConfigError(f"'{at}' must be of type {name}, got {value!r}", path=path)
