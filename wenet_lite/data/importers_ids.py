"""Ids by Kaldi's rules: no blanks, and one order by utterance and by speaker."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from wenet_lite.data.kaldi import PathLike
from wenet_lite.errors import DataError

_FORBIDDEN = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def fitted(name: str) -> str:
    """A name with `_` for each character that Kaldi forbids in ids: blanks, and what cannot be printed."""
    return _FORBIDDEN.sub("_", name.strip())


def all_fitted(names: Iterable[str], what: str, source: PathLike) -> dict[str, str]:
    """Name -> the id that Kaldi can have for it.

    Args:
        names: with repetitions.
        what: they are names of, for messages.
        source: where they come from, for messages.
    Raises:
        DataError: if two names become one id.
    """
    ids = {name: fitted(name) for name in dict.fromkeys(names)}
    origins: dict[str, str] = {}
    for name, key in ids.items():
        other = origins.setdefault(key, name)
        if other != name:
            raise DataError(f"the {what} '{other}' and '{name}' both become '{key}'", path=source, cure="rename one")
    return ids


def kaldi_ids(named: Sequence[tuple[str, str]], source: PathLike) -> list[tuple[str, str]]:
    """Utterance id and speaker id for each utterance's name and speaker; the ids sort one way by both.

    Where a name does not begin with its speaker, `<speaker>-` is put before it. Where that is not enough - `ann_1` of
    `ann` sorts behind `ann1_1` of `ann1` - it is put before all that do not begin with just this.

    Args:
        named: name and speaker of each utterance; one without a speaker ("") becomes its own.
        source: where they come from, for messages.
    Raises:
        DataError: if two speakers become one, or no such order can be had.
    """
    speakers = all_fitted((speaker for _, speaker in named), "speakers", source)
    wanted = [(fitted(name), speakers[speaker]) for name, speaker in named]
    ids = [_with_prefix(name, speaker, speaker) for name, speaker in wanted]
    if _unsorted_pair(ids):
        ids = [_with_prefix(name, speaker, f"{speaker}-" if speaker else "") for name, speaker in wanted]
    pair = _unsorted_pair(ids)
    if pair:
        (first, speaker), (second, next_speaker) = pair
        message = f"'{first}' of '{speaker}' and '{second}' of '{next_speaker}' sort otherwise by speaker"
        raise DataError(message, path=source, cure="rename one of the two speakers")
    return ids


def _with_prefix(name: str, speaker: str, required: str) -> tuple[str, str]:
    return name if name.startswith(required) else f"{speaker}-{name}", speaker or name


def _unsorted_pair(ids: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], tuple[str, str]] | None:
    in_order = sorted(ids)
    return next(((a, b) for a, b in zip(in_order, in_order[1:]) if a[1] > b[1]), None)
