"""Several Kaldi data directories put together to one."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence

from wenet_lite.data.kaldi import PathLike, spk2utt_from
from wenet_lite.data.kaldi_dir import RECORDING_FILES, SPEAKER_FILES, UTTERANCE_FILES, Table, read_dir, replace_dir
from wenet_lite.data.kaldi_durations import durations_of
from wenet_lite.data.kaldi_fix import write_fixed
from wenet_lite.errors import DataError

logger = logging.getLogger(__name__)

_MERGED = tuple(dict.fromkeys(("utt2uniq", "segments", *UTTERANCE_FILES, *RECORDING_FILES, *SPEAKER_FILES)))


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
    names = dict.fromkeys((*_MERGED, *extra_files))
    tables = {os.fspath(source): _read_source(source, dest, names, program) for source in sources}
    merged = combine_tables(tables, names, program=program)
    if skip_fix:
        replace_dir(dest, {**merged, "spk2utt": spk2utt_from(dict(sorted(merged["utt2spk"].items())))})
    else:
        write_fixed(dest, merged)


def combine_tables(
    sources: Mapping[str, Mapping[str, Table]], names: Iterable[str] = _MERGED, *, program: str = "combine_data.sh"
) -> dict[str, Table]:
    """The tables of several data directories merged.

    Args:
        sources: directory, for messages -> its tables by file name.
        names: of the tables to merge; one is left out where not every source has it.
        program: the name that messages start with.
    Raises:
        DataError: if two sources disagree about a key.
    """
    sources = _with_made_up(sources, program)
    merged = {}
    for name in names:
        present = sum(name in tables for tables in sources.values())
        if present == len(sources):
            merged[name] = _merge(name, sources)
            logger.info("%s: combined %s", program, name)
        elif present:
            logger.info("%s [info]: **not combining %s as it does not exist everywhere**", program, name)
        else:
            logger.info("%s [info]: not combining %s as it does not exist", program, name)
    return merged


def _read_source(source: PathLike, dest: PathLike, names: Iterable[str], program: str) -> dict[str, Table]:
    if os.path.realpath(source) == os.path.realpath(dest):
        raise DataError(f"{program}: {dest} is both destination and source", cure="the destination comes first")
    return read_dir(source, names)


def _with_made_up(sources: Mapping[str, Mapping[str, Table]], program: str) -> dict[str, dict[str, Table]]:
    """The sources, with utt2uniq and segments in all of them where one has them."""
    completed = {source: dict(tables) for source, tables in sources.items()}
    if any("utt2uniq" in tables for tables in completed.values()):
        for tables in completed.values():
            tables.setdefault("utt2uniq", {utterance: utterance for utterance in tables["utt2spk"]})
    if any("segments" in tables for tables in completed.values()):
        for source, tables in completed.items():
            if "segments" not in tables:
                logger.info("%s [info]: will generate missing segments for %s", program, source)
                if not tables.keys() & {"utt2dur", "wav.scp"}:
                    raise DataError(f"{program}: {source} has no utt2dur and no wav.scp to make segments of")
                durations = tables["utt2dur"] if "utt2dur" in tables else durations_of(tables, source)
                tables["segments"] = {utterance: f"{utterance} 0 {end}" for utterance, end in durations.items()}
    return completed


def _merge(name: str, sources: Mapping[str, Mapping[str, Table]]) -> Table:
    merged: Table = {}
    for source, tables in sources.items():
        for key, value in tables[name].items():
            if merged.setdefault(key, value) != value:
                cure = f"an earlier directory has '{merged[key]}'"
                raise DataError(f"'{key}' is '{value}'", path=os.path.join(source, name), cure=cure)
    return merged
