"""A part of a Kaldi data directory: `subset(source, dest, choice)` with one of the choices below."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Iterable, Mapping

from wenet_lite.data.kaldi import PathLike, read_lines, spk2utt_from
from wenet_lite.data.kaldi_dir import Table, read_dir, replace_dir, select_utterances
from wenet_lite.errors import DataError

logger = logging.getLogger(__name__)

Tables = Mapping[str, Table]
Choice = Callable[[Tables, int], Iterable[str]]
"""Tables of a data directory and a number of utterances -> the utterances to keep."""

_SEED = 777  # a subset is the same each time it is made


def subset(
    source: PathLike, num_utterances: int, dest: PathLike, choice: Choice, *, program: str = "subset_data_dir.sh"
) -> None:
    """Make `dest` of a number of the utterances of `source`, as `choice` chooses them.

    Raises:
        DataError: if there are fewer utterances than that in `source`.
    """
    tables = read_dir(source)
    if num_utterances > len(tables["utt2spk"]):
        raise DataError(f"{program}: cannot subset to more utterances than you originally had.")
    _write_subset(source, tables, set(choice(tables, num_utterances)), dest, program)


def subset_by_utterances(
    source: PathLike, utt_list: PathLike, dest: PathLike, *, program: str = "subset_data_dir.sh"
) -> None:
    """Make `dest` of the utterances of `source` that the file `utt_list` has in its first column."""
    tables = read_dir(source)
    listed = _first_column(utt_list)
    _warn_of_unknown(listed - tables["utt2spk"].keys(), utt_list, "utterances", program)
    _write_subset(source, tables, listed, dest, program)


def subset_by_speakers(
    source: PathLike, spk_list: PathLike, dest: PathLike, *, program: str = "subset_data_dir.sh"
) -> None:
    """Make `dest` of the speakers of `source` that the file `spk_list` has in its first column."""
    tables = read_dir(source)
    listed = _first_column(spk_list)
    _warn_of_unknown(listed - set(tables["utt2spk"].values()), spk_list, "speakers", program)
    utterances = {utterance for utterance, speaker in tables["utt2spk"].items() if speaker in listed}
    _write_subset(source, tables, utterances, dest, program)


def drawn(tables: Tables, num_utterances: int) -> Iterable[str]:
    """Utterances drawn at random."""
    return random.Random(_SEED).sample(sorted(tables["utt2spk"]), num_utterances)


def first(tables: Tables, num_utterances: int) -> Iterable[str]:
    """The first utterances."""
    return list(tables["utt2spk"])[:num_utterances]


def last(tables: Tables, num_utterances: int) -> Iterable[str]:
    """The last utterances."""
    return list(tables["utt2spk"])[len(tables["utt2spk"]) - num_utterances :]


def shortest(tables: Tables, num_utterances: int) -> Iterable[str]:
    """The shortest utterances by utt2dur.

    Raises:
        DataError: if utt2dur is missing, lacks an utterance or holds what is no number.
    """
    if "utt2dur" not in tables:
        raise DataError("you selected --shortest but no utt2dur exists", cure="tools/get_utt2dur.sh makes it")
    durations = tables["utt2dur"]
    try:
        by_duration = sorted((float(durations[utterance]), utterance) for utterance in tables["utt2spk"])
    except (KeyError, ValueError) as error:
        raise DataError(f"utt2dur is malformed: {error}", cure="tools/validate_data_dir.sh says where") from error
    return [utterance for _, utterance in by_duration[:num_utterances]]


def per_speaker(tables: Tables, num_utterances: int) -> Iterable[str]:
    """That many utterances of each speaker who has them, spread evenly over his utterances."""
    for listed in spk2utt_from(tables["utt2spk"]).values():
        utterances = listed.split(" ")
        step = max(len(utterances) // num_utterances, 1) if num_utterances else len(utterances) + 1
        yield from utterances[::step][:num_utterances]


def whole_speakers(tables: Tables, num_utterances: int) -> Iterable[str]:
    """All utterances of speakers drawn at random until there are enough."""
    spk2utt = spk2utt_from(tables["utt2spk"])
    total = 0
    for speaker in random.Random(_SEED).sample(sorted(spk2utt), len(spk2utt)):
        if total >= num_utterances:
            return
        utterances = spk2utt[speaker].split(" ")
        total += len(utterances)
        yield from utterances


def _write_subset(source: PathLike, tables: Tables, utterances: set[str], dest: PathLike, program: str) -> None:
    if os.path.realpath(source) == os.path.realpath(dest):
        raise DataError(f"{program}: source and destination are the same directory {dest}")
    chosen = select_utterances(tables, utterances)
    if not chosen["utt2spk"]:
        raise DataError(f"{program}: no utterances remained: not proceeding further.")
    replace_dir(dest, {**chosen, "spk2utt": spk2utt_from(dict(sorted(chosen["utt2spk"].items())))})
    logger.info("%s: reducing #utt from %d to %d", program, len(tables["utt2spk"]), len(chosen["utt2spk"]))


def _first_column(path: PathLike) -> set[str]:
    return {fields[0].decode(errors="replace") for fields in map(bytes.split, read_lines(path)) if fields}


def _warn_of_unknown(unknown: set[str], path: PathLike, kind: str, program: str) -> None:
    if unknown:
        message = "%s: %d %s of %s are not in the source: %s"
        logger.warning(message, program, len(unknown), kind, path, " ".join(sorted(unknown)))
