"""Speed perturbation of a Kaldi data directory (Ko et al., 2015): pipes through sox, times divided by the factor.

Training draws speeds on the fly and needs none of this; it is for those who want the directories that Kaldi makes.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wenet_lite.data.kaldi import PathLike
from wenet_lite.data.kaldi_combine import combine_tables
from wenet_lite.data.kaldi_dir import SPEAKER_FILES, Table, read_dir
from wenet_lite.data.kaldi_durations import durations_of
from wenet_lite.data.kaldi_fix import write_fixed
from wenet_lite.data.kaldi_validate import validate
from wenet_lite.errors import DataError

logger = logging.getLogger(__name__)

# features, their statistics and frame counts are those of the unperturbed audio
_STAY_BEHIND = ("feats.scp", "cmvn.scp", "vad.scp", "utt2num_frames")
# sox knows these by their suffix; all else is taken for wav, as Kaldi takes it
_NAMED_FORMATS = (".flac", ".ogg", ".opus", ".mp3")


@dataclass(frozen=True)
class Affix:
    """What is put around ids, so that several speeds of an utterance can stand in one directory.

    Attributes:
        before: put before the ids of utterances, recordings and speakers.
        after: put after the ids of utterances and recordings.
    """

    before: str = ""
    after: str = ""

    def utterance(self, key: str) -> str:
        """The new id of an utterance or a recording."""
        return self.before + key + self.after

    def speaker(self, key: str) -> str:
        """The new id of a speaker."""
        return self.before + key


Naming = Callable[[str], Affix]
"""Speed factor -> how the ids of that speed are told from others."""


def as_new_speakers(factor: str) -> Affix:
    """`sp0.9-ann-1` of `sp0.9-ann`: another speed makes another speaker."""
    return Affix(before=f"sp{factor}-")


def as_same_speakers(factor: str) -> Affix:
    """`ann-1-sp0.9` of `ann`: speakers stay who they are."""
    return Affix(after=f"-sp{factor}")


def perturb_speed(
    factor: str,
    source: PathLike,
    dest: PathLike,
    naming: Naming = as_new_speakers,
    *,
    program: str = "perturb_data_dir_speed.sh",
) -> None:
    """Make `dest` of all utterances of `source`, spoken `factor` times as fast.

    Args:
        factor: as the ids are to spell it, "0.9".
        source: a data directory; its utt2dur is worked out where it has none.
        dest: the directory to make; an old one is replaced.
        naming: how ids change.
        program: the name that messages start with.
    Raises:
        DataError: if the factor is no number above 0, or a table of `source` is malformed.
    """
    if not re.fullmatch(r"\d+(\.\d+)?", factor) or float(factor) == 0:
        raise DataError(f"{program}: the warping factor must be a number above 0, such as 0.9, got '{factor}'")
    tables = _read_source(source, dest, program)
    write_fixed(dest, _perturbed(tables, factor, source, naming(factor)))
    logger.info("%s: generated speed-perturbed version of data in %s, in %s", program, source, dest)
    validate(dest, no_feats=True, no_text=True)


def perturb_speed_3way(
    source: PathLike,
    dest: PathLike,
    naming: Naming = as_new_speakers,
    *,
    always_include_prefix: bool = False,
    program: str = "perturb_data_dir_speed_3way.sh",
) -> None:
    """Make `dest` of all utterances of `source` at the speeds 0.9, 1.0 and 1.1.

    Args:
        source: a data directory with wav.scp; its utt2dur is worked out where it has none.
        dest: the directory to make; an old one is replaced.
        naming: how ids change.
        always_include_prefix: whether the ids of speed 1.0 change too.
        program: the name that messages start with.
    Raises:
        DataError: if `source` has no wav.scp, `dest` has features, or the new ids do not sort by speaker.
    """
    if not os.path.isfile(os.path.join(source, "wav.scp")):
        raise DataError(f"{program}: expected {os.path.join(source, 'wav.scp')} to exist")
    features = os.path.join(dest, "feats.scp")
    if os.path.isfile(features):
        cure = f"please delete {features} if you want this to run"
        raise DataError(f"{program}: {features} already exists: refusing to run this", cure=cure)
    tables = _read_source(source, dest, program)
    original = _renamed(tables, naming("1.0")) if always_include_prefix else tables
    versions = {
        os.fspath(source): original,
        **{f"{dest}_speed{speed}": _perturbed(tables, speed, source, naming(speed)) for speed in ("0.9", "1.1")},
    }
    merged = combine_tables(versions, program=program)
    speakers = [merged["utt2spk"][utterance] for utterance in sorted(merged["utt2spk"])]
    if not always_include_prefix and speakers != sorted(speakers):
        cure = "utt2spk is not in sorted order when sorted first on speaker-id"
        raise DataError(
            f"{program}: Validation failed.  If it is a sorting issue, try the option '--always-include-prefix true'.",
            cure=cure,
        )
    write_fixed(dest, merged)
    logger.info("%s: generated 3-way speed-perturbed version of data in %s, in %s", program, source, dest)
    validate(dest, no_feats=True, no_text=True)


def sox_pipe(rxfilename: str, factor: str) -> str:
    """The entry of wav.scp that changes the speed of another entry.

    Args:
        rxfilename: a command that ends in `|`, a place in an archive (`file:offset`), or a file.
        factor: of the speed.
    """
    if rxfilename.endswith("|"):
        return f"{rxfilename[:-1].rstrip()} | sox -t wav - -t wav - speed {factor} |"
    if re.search(r":\d+$", rxfilename):
        return f"wav-copy {shlex.quote(rxfilename)} - | sox -t wav - -t wav - speed {factor} |"
    form = "" if rxfilename.lower().endswith(_NAMED_FORMATS) else "-t wav "
    return f"sox {form}{shlex.quote(rxfilename)} -t wav - speed {factor} |"


def _read_source(source: PathLike, dest: PathLike, program: str) -> dict[str, Table]:
    if os.path.realpath(source) == os.path.realpath(dest):
        raise DataError(f"{program}: this script requires <srcdir> and <destdir> to be different.")
    if shutil.which("sox") is None:
        logger.warning("%s: sox: command not found (whoever reads the new wav.scp needs it)", program)
    tables = read_dir(source)
    if "utt2dur" not in tables and "wav.scp" in tables:
        if "segments" not in tables and any(entry.endswith("|") for entry in tables["wav.scp"].values()):
            logger.warning("%s: no utt2dur: wav.scp of %s has piped commands, which are not run", program, source)
        else:
            tables["utt2dur"] = durations_of(tables, source)
    return tables


def _perturbed(tables: Mapping[str, Table], factor: str, source: PathLike, affix: Affix) -> dict[str, Table]:
    perturbed = {name: table for name, table in tables.items() if name not in _STAY_BEHIND}
    if "wav.scp" in perturbed:
        perturbed["wav.scp"] = {key: sox_pipe(entry, factor) for key, entry in perturbed["wav.scp"].items()}
    for name, num_times in (("segments", 2), ("utt2dur", 1), ("reco2dur", 1)):
        if name in perturbed:
            path = os.path.join(source, name)
            perturbed[name] = {
                key: _sped_up(path, key, value, num_times, float(factor)) for key, value in perturbed[name].items()
            }
    return _renamed(perturbed, affix)


def _sped_up(path: str, key: str, value: str, num_times: int, factor: float) -> str:
    """A line whose last fields, which are times, are divided by the factor."""
    fields = value.split()
    try:
        times = [str(round(float(time) / factor, 6)) for time in fields[-num_times:]]
    except ValueError as error:
        name = os.path.basename(path)
        raise DataError(f"Bad line in {name} file {key} {value}", path=path) from error
    return " ".join([*fields[:-num_times], *times])


def _renamed(tables: Mapping[str, Table], affix: Affix) -> dict[str, Table]:
    renamed = {}
    for name, table in tables.items():
        rename = affix.speaker if name in SPEAKER_FILES else affix.utterance
        renamed[name] = {rename(key): value for key, value in table.items()}
    renamed["utt2spk"] = {key: affix.speaker(speaker) for key, speaker in renamed["utt2spk"].items()}
    unique = tables.get("utt2uniq", {})
    renamed["utt2uniq"] = {affix.utterance(key): unique.get(key, key) for key in tables["utt2spk"]}
    if "segments" in tables:
        spans = {key: span.partition(" ") for key, span in renamed["segments"].items()}
        renamed["segments"] = {key: f"{affix.utterance(reco)} {times}" for key, (reco, _, times) in spans.items()}
    return renamed
