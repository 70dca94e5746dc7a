"""Several Kaldi data directories put together to one."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wenet_lite.data.kaldi import PathLike, spk2utt_from
from wenet_lite.data.kaldi_dir import RECORDING_FILES, SPEAKER_FILES, UTTERANCE_FILES, Table, read_dir, replace_dir
from wenet_lite.data.kaldi_durations import durations_of
from wenet_lite.data.kaldi_fix import fix_tables, report_fix
from wenet_lite.errors import DataError

logger = logging.getLogger(__name__)


def combine(
    dest: PathLike,
    sources: Sequence[PathLike],
    extra_files: Iterable[str] = (),
    skip_fix: bool = False,
    *,
    program: str = "combine_data.sh",
) -> None:
    """Make `dest` anew of all utterances of `sources`.

    A file is merged only where every source has it; utt2uniq and segments are made up for those that
    lack them. The utterances that not all files have are then left out, as fix_data_dir.sh does it.

    Args:
        dest: the directory to make; an old one is deleted.
        sources: the data directories to merge.
        extra_files: names of further files to merge; utterances that are left out stay in them.
        skip_fix: whether to leave the merged files as they are.
        program: the name that messages start with.
    Raises:
        DataError: if a source is no data directory, is `dest`, or two sources disagree about a key.
    """
    known = ("utt2uniq", "segments", *UTTERANCE_FILES, *RECORDING_FILES, *SPEAKER_FILES)
    names = dict.fromkeys((*known, *extra_files))
    all_tables = [_read_source(source, dest, names, program) for source in sources]
    _make_up_missing(sources, all_tables, program)
    merged = {}
    for name in names:
        present = sum(name in tables for tables in all_tables)
        if present == len(all_tables):
            merged[name] = _merge(name, sources, [tables[name] for tables in all_tables])
            logger.info("%s: combined %s", program, name)
        elif present:
            logger.info("%s [info]: **not combining %s as it does not exist everywhere**", program, name)
        else:
            logger.info("%s [info]: not combining %s as it does not exist", program, name)
    if skip_fix:
        replace_dir(dest, {**merged, "spk2utt": spk2utt_from(dict(sorted(merged["utt2spk"].items())))})
        return
    fixed = fix_tables({name: merged[name] for name in known if name in merged}, os.fspath(dest))
    replace_dir(dest, {**merged, **fixed.tables})
    report_fix(fixed, Path(dest) / ".backup", "fix_data_dir.sh")


def _read_source(source: PathLike, dest: PathLike, names: Iterable[str], program: str) -> dict[str, Table]:
    if os.path.realpath(source) == os.path.realpath(dest):
        raise DataError(f"{program}: {dest} is both destination and source", cure="the destination comes first")
    return read_dir(source, names)


def _make_up_missing(sources: Sequence[PathLike], all_tables: Sequence[dict[str, Table]], program: str) -> None:
    if any("utt2uniq" in tables for tables in all_tables):
        for tables in all_tables:
            tables.setdefault("utt2uniq", {utterance: utterance for utterance in tables["utt2spk"]})
    if any("segments" in tables for tables in all_tables):
        for source, tables in zip(sources, all_tables):
            if "segments" not in tables:
                logger.info("%s [info]: will generate missing segments for %s", program, source)
                durations = tables["utt2dur"] if "utt2dur" in tables else durations_of(tables, source)
                tables["segments"] = {utterance: f"{utterance} 0 {end}" for utterance, end in durations.items()}


def _merge(name: str, sources: Sequence[PathLike], tables: Sequence[Mapping[str, str]]) -> Table:
    merged: Table = {}
    for source, table in zip(sources, tables):
        for key, value in table.items():
            if merged.setdefault(key, value) != value:
                cure = f"an earlier directory has '{merged[key]}'"
                raise DataError(f"'{key}' is '{value}'", path=os.path.join(source, name), cure=cure)
    return merged
