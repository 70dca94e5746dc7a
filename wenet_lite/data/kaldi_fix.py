"""Mending a Kaldi data directory: sorting its files and keeping what all of them know."""

from __future__ import annotations

import logging
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wenet_lite.data.kaldi import PathLike, read_lines, spk2utt_from, write_table
from wenet_lite.data.kaldi_dir import (
    RECORDING_FILES,
    SPEAKER_FILES,
    UTTERANCE_FILES,
    Table,
    replace_dir,
    require_utt2spk,
    segment_recordings,
    select_utterances,
)
from wenet_lite.errors import DataError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FixedTables:
    """What `fix_tables` made.

    Attributes:
        tables: file name -> table, spk2utt included.
        left_out: utterance -> why it is in none of them.
        num_before: utterances that utt2spk had.
    """

    tables: dict[str, Table]
    left_out: dict[str, str]
    num_before: int


def fix(directory: PathLike, *, program: str = "fix_data_dir.sh") -> FixedTables:
    """Sort the files of a data directory and keep the utterances that all of them have.

    The files as they were stay in `.backup`, beside `left_out`: the utterances that went, with the reason.

    Args:
        directory: the data directory.
        program: the name that messages start with.
    Raises:
        DataError: if nothing would remain, or what is wrong cannot be mended here; nothing is changed then.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise DataError(f"{program}: no such directory {directory}")
    require_utt2spk(directory)
    present = [n for n in (*UTTERANCE_FILES, *SPEAKER_FILES, *RECORDING_FILES) if (folder / n).is_file()]
    read = {name: _read_unsorted(folder / name) for name in present}
    fixed = fix_tables(read, os.fspath(directory), program)
    backup = folder / ".backup"
    backup.mkdir(exist_ok=True)
    for name in (*present, "spk2utt"):
        if (folder / name).is_file():
            shutil.copy2(folder / name, backup / name)
    for name, table in read.items():
        if list(table) != sorted(table) or len(table) != len(read_lines(folder / name)):
            logger.info("%s: file %s is not in sorted order or not unique, sorting it", program, folder / name)
        if len(table) != len(fixed.tables[name]):
            lengths = (len(table), len(fixed.tables[name]))
            logger.info("%s: filtered %s from %d to %d lines.", program, folder / name, *lengths)
    for name, table in fixed.tables.items():
        write_table(folder / name, table)
    report_fix(fixed, backup, program)
    logger.info("%s: old files are kept in %s", program, backup)
    return fixed


def write_fixed(dest: PathLike, tables: Mapping[str, Table]) -> None:
    """Make `dest` anew of the utterances that all tables have; its `.backup/left_out` lists the others.

    Raises:
        DataError: if nothing would remain, speaker ids are not prefixes of utterance ids, or `dest` is another folder.
    """
    fixed = fix_tables(tables, os.fspath(dest))
    replace_dir(dest, fixed.tables)
    report_fix(fixed, Path(dest) / ".backup", "fix_data_dir.sh")


def fix_tables(tables: Mapping[str, Table], directory: str, program: str = "fix_data_dir.sh") -> FixedTables:
    """Keep the utterances, speakers and recordings that all tables have; utt2spk rules, spk2utt follows from it.

    Args:
        tables: file name -> table; those of no name that Kaldi gives stay as they are.
        directory: where they come from, for messages.
        program: the name that messages start with.
    Raises:
        DataError: if nothing would remain, or speaker ids are not prefixes of utterance ids.
    """
    for utterance, speaker in tables["utt2spk"].items():
        if len(speaker.split()) != 1:
            raise DataError(f"{program}: {directory}/utt2spk has wrong format.", cure=f"at '{utterance}'")
    left_out = _incomplete_utterances(tables, _recordings(tables, directory, program))
    kept = tables["utt2spk"].keys() - left_out.keys()
    if not kept:
        utterance, reason = next(iter(left_out.items()), ("utt2spk", "empty"))
        raise DataError(f"{program}: no utterances remained: not proceeding further.", cure=f"{utterance} is {reason}")
    known = (*UTTERANCE_FILES, *SPEAKER_FILES, *RECORDING_FILES)
    extra = {name: table for name, table in tables.items() if name not in known}
    fixed = select_utterances({name: table for name, table in tables.items() if name in known}, kept)
    utt2spk = dict(sorted(fixed["utt2spk"].items()))
    speakers = list(utt2spk.values())
    if speakers != sorted(speakers):
        raise DataError(
            f"{program}: utt2spk is not in sorted order when sorted first on speaker-id "
            "(fix this by making speaker-ids prefixes of utt-ids)"
        )
    fixed["utt2spk"], fixed["spk2utt"] = utt2spk, spk2utt_from(utt2spk)
    return FixedTables({**extra, **fixed}, left_out, len(tables["utt2spk"]))


def report_fix(fixed: FixedTables, backup: Path, program: str) -> None:
    """Log how many utterances were kept; list the others in `backup`/left_out."""
    kept = len(fixed.tables["utt2spk"])
    if kept == fixed.num_before:
        logger.info("fix_data_dir.sh: kept all %d utterances.", kept)
    else:
        logger.info("fix_data_dir.sh: kept %d utterances out of %d", kept, fixed.num_before)
    (backup / "left_out").unlink(missing_ok=True)
    if fixed.left_out:
        backup.mkdir(exist_ok=True)
        write_table(backup / "left_out", fixed.left_out)
        logger.info("%s: what is left out is listed with the reason in %s", program, backup / "left_out")


def _read_unsorted(path: Path) -> Table:
    """A table whose lines may be in any order; of several lines with one key the first counts, as `sort -u` has it."""
    table: Table = {}
    for number, line in enumerate(read_lines(path), 1):
        key_and_value = line.split(None, 1)
        try:
            if key_and_value:
                table.setdefault(key_and_value[0].decode(), b"".join(key_and_value[1:]).rstrip().decode())
        except UnicodeDecodeError as error:
            raise DataError("is not UTF-8", path=path, line=number, cure="convert the file with iconv") from error
    return table


def _incomplete_utterances(tables: Mapping[str, Table], recordings: Mapping[str, str]) -> dict[str, str]:
    """Utterances that not all tables have -> the first reason."""
    incomplete: dict[str, str] = {}
    for utterance, speaker in tables["utt2spk"].items():
        for name in SPEAKER_FILES:
            if name in tables and speaker not in tables[name]:
                incomplete.setdefault(utterance, f"of a speaker not in {name}")
    for name in ("feats.scp", "text", "segments", "utt2lang", "wav.scp", "utt2dur", "utt2num_frames"):
        table = tables.get(name)
        if table is None:
            continue
        for utterance in tables["utt2spk"]:
            key = recordings.get(utterance, "") if name == "wav.scp" else utterance
            if key not in table:
                incomplete.setdefault(utterance, f"not in {name}")
            elif name in ("utt2dur", "utt2num_frames") and not _is_positive(table[key]):
                incomplete.setdefault(utterance, f"not above 0 in {name}")
    for name, table in tables.items():
        if name in UTTERANCE_FILES or (name == "wav.scp" and "segments" not in tables):
            for utterance in table.keys() - tables["utt2spk"].keys():
                incomplete.setdefault(utterance, f"in {name} but not in utt2spk")
    return incomplete


def _recordings(tables: Mapping[str, Table], directory: str, program: str) -> Mapping[str, str]:
    """Utterance -> recording."""
    if "segments" not in tables:
        return {utterance: utterance for utterance in tables["utt2spk"]}
    if "wav.scp" not in tables:
        raise DataError(f"{program}: {directory}/segments exists but not {directory}/wav.scp")
    return segment_recordings(tables["segments"])


def _is_positive(value: str) -> bool:
    try:
        return 0 < float(value) < math.inf
    except ValueError:
        return False
