"""From foreign corpora to Kaldi data directories: what is the same whatever the source.

A reader (importers_csv.py, importers_hf.py, importers_lhotse.py) tells of utterances; `assemble` gives them ids by
Kaldi's rules and makes tables of them, `write_imported` a directory.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wenet_lite.data.importers_ids import all_fitted, fitted, kaldi_ids
from wenet_lite.data.importers_source import SourceUtterance
from wenet_lite.data.kaldi import PathLike, spk2utt_from, write_table
from wenet_lite.data.kaldi_dir import Table, replace_dir
from wenet_lite.data.kaldi_validate import validate
from wenet_lite.errors import DataError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImportedDir:
    """A data directory to be written.

    Attributes:
        tables: file name -> table.
        left_out: where an utterance stands in the source -> its id, and why it cannot be used.
    """

    tables: dict[str, Table]
    left_out: dict[str, str]


def assemble(utterances: Iterable[SourceUtterance], source: PathLike, max_bad_fraction: float = 0.01) -> ImportedDir:
    """Make the tables of a data directory.

    An utterance without text or audio, or with a text that Kaldi forbids, is left out. Ids are those of the source,
    with `_` for blanks; where one does not begin with its speaker, `<speaker>-` is put before it. An utterance without
    a speaker is its own. Where an utterance is a part of its recording, all are written as segments.

    Args:
        utterances: in any order.
        source: where they come from, for messages.
        max_bad_fraction: how many of the utterances may be left out.
    Raises:
        DataError: if none or too many are left out, two have one id, or no order of Kaldi's suits their speakers.
    """
    usable, left_out = _sift(utterances, source, max_bad_fraction)
    ids = kaldi_ids([(utterance.key, utterance.speaker) for utterance in usable], source)
    _require_distinct(ids, usable)
    tables: dict[str, Table] = {
        "utt2spk": dict(ids),
        "text": {key: utterance.transcript for (key, _), utterance in zip(ids, usable)},
        "spk2gender": _genders(ids, usable, source),
    }
    if any(utterance.start is not None or utterance.end is not None for utterance in usable):
        tables.update(_segmented(ids, usable, source))
    else:
        tables["wav.scp"] = {key: utterance.rxfilename for (key, _), utterance in zip(ids, usable)}
        durations = {key: utterance.duration for (key, _), utterance in zip(ids, usable)}
        known = {key: _format(duration) for key, duration in durations.items() if duration}
        tables["utt2dur"] = known if len(known) == len(usable) else {}
    tables["spk2utt"] = spk2utt_from(dict(sorted(ids)))
    return ImportedDir({name: table for name, table in tables.items() if table}, left_out)


def write_imported(imported: ImportedDir, dest: PathLike) -> None:
    """Make the directory `dest` anew and check it; its `.backup/left_out` lists the utterances that are not in it.

    Raises:
        DataError: if `dest` holds files but is no data directory, or breaks a rule of Kaldi's.
    """
    replace_dir(dest, imported.tables)
    kept, left_out = len(imported.tables["utt2spk"]), len(imported.left_out)
    logger.info("%s: %d utterances of %d speakers", dest, kept, len(imported.tables["spk2utt"]))
    if left_out:
        backup = Path(dest) / ".backup"
        backup.mkdir()
        write_table(backup / "left_out", imported.left_out)
        message = "%s: %d of %d utterances are left out; they are listed with the reason in %s"
        logger.warning(message, dest, left_out, kept + left_out, backup / "left_out")
    validate(dest, no_feats=True)


def _sift(
    utterances: Iterable[SourceUtterance], source: PathLike, max_bad_fraction: float
) -> tuple[list[SourceUtterance], dict[str, str]]:
    """The usable utterances, and the list of the others."""
    is_file = functools.cache(os.path.isfile)
    usable, bad = [], []
    for utterance in utterances:
        fault = utterance.fault(is_file)
        if fault is None:
            usable.append(utterance)
        else:
            bad.append((utterance, fault.encode(errors="replace").decode()))
    total = len(usable) + len(bad)
    if total == 0:
        raise DataError("holds no utterance", path=source)
    if not usable or len(bad) > max_bad_fraction * total:
        first, fault = bad[0]
        cure = "mend the source, check --audio-dir, or allow them with --max-bad-fraction"
        raise first.error(
            f"{len(bad)} of {total} utterances cannot be used, such as '{first.key}', which {fault}", cure
        )
    left_out = {fitted(f"{utterance.path}:{utterance.line}:{utterance.key}"): fault for utterance, fault in bad}
    return usable, left_out


def _require_distinct(ids: Sequence[tuple[str, str]], utterances: Sequence[SourceUtterance]) -> None:
    places: dict[str, SourceUtterance] = {}
    for (key, _), utterance in zip(ids, utterances):
        first = places.setdefault(key, utterance)
        if first is not utterance:
            message = f"has the utterance id '{key}' a second time, after {first.path}:{first.line}"
            raise utterance.error(message, "give each utterance an id of its own")


def _segmented(
    ids: Sequence[tuple[str, str]], utterances: Sequence[SourceUtterance], source: PathLike
) -> dict[str, Table]:
    names = all_fitted((utterance.recording for utterance in utterances), "recordings", source)
    tables: dict[str, Table] = {"wav.scp": {}, "segments": {}, "utt2dur": {}}
    for (key, _), utterance in zip(ids, utterances):
        recording = names[utterance.recording]
        other = tables["wav.scp"].setdefault(recording, utterance.rxfilename)
        if other != utterance.rxfilename:
            raise utterance.error(f"'{utterance.rxfilename}' and '{other}' are both the recording '{recording}'")
        start, end = utterance.span()
        tables["segments"][key] = f"{recording} {_format(start)} {_format(end)}"
        tables["utt2dur"][key] = _format(end - start)
    return tables


def _genders(ids: Sequence[tuple[str, str]], utterances: Sequence[SourceUtterance], source: PathLike) -> Table:
    """Speaker -> gender where each has one; nothing elsewhere, as Kaldi wants all speakers or no file."""
    genders: dict[str, set[str]] = {}
    for (_, speaker), utterance in zip(ids, utterances):
        genders.setdefault(speaker, set()).update(utterance.gender)
    unknown = [speaker for speaker, found in genders.items() if len(found) != 1]
    if not unknown:
        return {speaker: found.pop() for speaker, found in genders.items()}
    if len(unknown) < len(genders):
        message = "%s: no spk2gender, as %d of %d speakers have no gender or two, such as '%s'"
        logger.warning(message, source, len(unknown), len(genders), unknown[0])
    return {}


def _format(seconds: float) -> str:
    return str(round(seconds, 6))
