"""utt2dur: how long each utterance of a Kaldi data directory is, in seconds."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wenet_lite.data.kaldi import PathLike, read_table, write_table
from wenet_lite.data.kaldi_dir import Table, require_utt2spk
from wenet_lite.errors import DataError

logger = logging.getLogger(__name__)


def utt2dur(directory: PathLike, *, jobs: int = 4, program: str = "get_utt2dur.sh") -> None:
    """Write utt2dur of a data directory, unless it is there with the expected length.

    Args:
        directory: the data directory; wav.scp or segments tell the durations.
        jobs: audio headers read at a time.
        program: the name that messages start with.
    Raises:
        DataError: if there is neither wav.scp nor segments, or an audio file cannot be read.
    """
    folder = Path(directory)
    require_utt2spk(folder)
    tables = {name: read_table(folder / name) for name in ("utt2spk", "utt2dur", "segments", "wav.scp")
              if (folder / name).is_file()}  # fmt: skip
    target = folder / "utt2dur"
    if len(tables.get("utt2dur", {})) == len(tables["utt2spk"]):
        logger.info("%s: %s already exists with the expected length.  We won't recompute it.", program, target)
        return
    if "segments" in tables:
        logger.info("%s: working out %s from %s", program, target, folder / "segments")
    elif "wav.scp" in tables:
        logger.info("%s: segments file does not exist so getting durations from wave files", program)
    else:
        raise DataError(f"{program}: Expected {folder / 'wav.scp'} or {folder / 'segments'} to exist")
    durations = durations_of(tables, folder, jobs)
    if len(durations) != len(tables["utt2spk"]):
        lengths = (len(durations), len(tables["utt2spk"]))
        logger.warning("%s: warning: length of utt2dur does not equal that of utt2spk, %d != %d", program, *lengths)
    write_table(target, durations)
    logger.info("%s: computed %s", program, target)


def durations_of(tables: Mapping[str, Table], directory: PathLike, jobs: int = 4) -> Table:
    """Utterance -> seconds: from segments where there are any, from the headers of the audio elsewhere.

    Raises:
        DataError: for a bad line of segments, a piped command, or an audio file that cannot be read.
    """
    if "segments" in tables:
        return {utterance: _segment_length(utterance, span) for utterance, span in tables["segments"].items()}
    from wenet_lite.data.audio import audio_info  # here: numpy and soundfile would slow down the tools' start

    wav_scp = tables["wav.scp"]
    for utterance, wav in wav_scp.items():
        if wav.endswith("|"):
            cure = "write its output to a file, or give utt2dur yourself"
            raise DataError(f"the duration of '{utterance}', a piped command, is unknown", path=directory, cure=cure)
    with ThreadPoolExecutor(jobs) as pool:
        infos = pool.map(audio_info, wav_scp.values())
        return {utterance: _format(info.duration) for utterance, info in zip(wav_scp, infos)}


def _segment_length(utterance: str, span: str) -> str:
    try:
        _, start, end = span.split()
        return _format(float(end) - float(start))
    except ValueError as error:
        raise DataError(f"Bad line in segments file {utterance} {span}") from error


def _format(seconds: float) -> str:
    return str(round(seconds, 6))
