"""A Kaldi data directory as a whole: its tables by file name, and how it is replaced."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path

from wenet_lite.data.kaldi import PathLike, read_table, write_table
from wenet_lite.errors import DataError

Table = dict[str, str]

UTTERANCE_FILES = (
    "utt2spk", "text", "segments", "feats.scp", "vad.scp", "utt2lang", "utt2uniq", "utt2dur", "utt2num_frames",
)  # fmt: skip
SPEAKER_FILES = ("spk2gender", "cmvn.scp")
# keyed by recording where there are segments, by utterance elsewhere
RECORDING_FILES = ("wav.scp", "reco2file_and_channel", "reco2dur")


def read_dir(directory: PathLike, extra_files: Iterable[str] = ()) -> dict[str, Table]:
    """The tables that are present, by file name; spk2utt, which follows from utt2spk, is not read.

    Raises:
        DataError: if utt2spk is missing or a table is malformed.
    """
    names = dict.fromkeys((*UTTERANCE_FILES, *SPEAKER_FILES, *RECORDING_FILES, *extra_files))
    require_utt2spk(directory)
    return {name: read_table(path) for name in names if (path := Path(directory) / name).is_file()}


def require_utt2spk(directory: PathLike) -> None:
    """Raise a `DataError` where `directory` is no data directory."""
    if not os.path.isfile(os.path.join(directory, "utt2spk")):
        raise DataError(f"no such file {os.path.join(directory, 'utt2spk')}")


def select(table: Mapping[str, str], keys: Container[str]) -> Table:
    """The part of a table whose keys are in `keys`."""
    return {key: value for key, value in table.items() if key in keys}


def segment_recordings(segments: Mapping[str, str]) -> dict[str, str]:
    """Utterance -> recording, from the table of `segments`.

    Raises:
        DataError: for a line that is not <utt> <reco> <start> <end>.
    """
    recordings = {}
    for utterance, span in segments.items():
        fields = span.split()
        if len(fields) != 3:
            raise DataError(f"Bad line in segments file {utterance} {span}")
        recordings[utterance] = fields[0]
    return recordings


def select_utterances(tables: Mapping[str, Table], utterances: Container[str]) -> dict[str, Table]:
    """All tables cut down to some utterances, their speakers and their recordings."""
    utt2spk = select(tables["utt2spk"], utterances)
    segments = select(tables.get("segments", {}), utterances)
    speakers = set(utt2spk.values())
    recordings = set(segment_recordings(segments).values()) if "segments" in tables else set(utt2spk)
    kept: dict[str, Table] = {}
    for name, table in tables.items():
        if name in SPEAKER_FILES:
            kept[name] = select(table, speakers)
        elif name in RECORDING_FILES:
            kept[name] = select(table, recordings)
        else:
            kept[name] = select(table, utt2spk)
    return kept


def require_replaceable(directory: PathLike) -> None:
    """Raise a `DataError` where `directory` holds files but no utt2spk: what is no data directory is not deleted."""
    target = Path(directory)
    if target.exists() and not (target / "utt2spk").is_file() and any(target.iterdir()):
        raise DataError("is not a data directory and not empty", path=directory, cure="remove it or choose another")


def replace_dir(
    directory: PathLike, tables: Mapping[str, Table], check: Callable[[Path], object] | None = None
) -> None:
    """Make a directory anew with these tables; until all are written the old one stays. A link to one stays a link.

    Args:
        directory: the data directory.
        tables: its files by name.
        check: looks at what was written; if it raises, the old one stays.
    Raises:
        DataError: as `require_replaceable`.
    """
    require_replaceable(directory)
    target = Path(directory).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh, stale = (target.with_name(f"{target.name}.{suffix}") for suffix in ("tmp", "old"))
    for leftover in (fresh, stale):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        fresh.mkdir()
        for name, table in tables.items():
            write_table(fresh / name, table)
        if check is not None:
            check(fresh)
        if target.exists():
            target.rename(stale)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(stale, ignore_errors=True)
