"""Kaldi's data-directory tools under their names, options and messages; tools/ has a shim for each.

Starts in a fraction of a second: nothing here imports torch or numpy.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from wenet_lite.bin import command
from wenet_lite.data import kaldi_perturb, kaldi_subset
from wenet_lite.data.kaldi import read_table, spk2utt_from, utt2spk_from
from wenet_lite.data.kaldi_combine import combine
from wenet_lite.data.kaldi_durations import utt2dur
from wenet_lite.data.kaldi_fix import fix
from wenet_lite.data.kaldi_validate import validate
from wenet_lite.errors import DataError, WenetLiteError


@dataclass(frozen=True)
class Call:
    """A tool as it was called.

    Attributes:
        program: what the shell calls `$0`.
        options: name without dashes -> value, "" for an option that takes none.
        arguments: what is no option.
    """

    program: str
    options: dict[str, str]
    arguments: list[str]


@dataclass(frozen=True)
class Tool:
    """One of Kaldi's tools.

    Attributes:
        run: does the work.
        usage: arguments and what they mean.
        num_arguments: fewest and most arguments.
        flags: options that take no value.
        settings: options that take a value.
        options_anywhere: whether options may follow arguments.
    """

    run: Callable[[Call], None]
    usage: str
    num_arguments: tuple[int, float]
    flags: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    options_anywhere: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool whose path is the first argument; messages go to standard output, errors to standard error."""
    program, *arguments = sys.argv[1:] if argv is None else argv
    name = os.path.basename(program).removesuffix(".sh").removesuffix(".pl")
    if name not in TOOLS:
        raise DataError(f"no tool is called '{name}'", cure=f"the tools are {', '.join(TOOLS)}")
    tool = TOOLS[name]
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` may close the pipe
    usage = f"Usage: {program} {tool.usage}"
    if arguments[:1] in (["--help"], ["-h"]):
        print(usage)
        return 0
    try:
        call = _parse(tool, program, arguments)
        if not tool.num_arguments[0] <= len(call.arguments) <= tool.num_arguments[1]:
            print(usage, file=sys.stderr)
            return 1
        tool.run(call)
    except WenetLiteError as error:
        text = str(error)
        print(text if text.startswith((f"{program}:", "fix_data_dir.sh:")) else f"{program}: {text}", file=sys.stderr)
        return 1
    return 0


def _parse(tool: Tool, program: str, arguments: Sequence[str]) -> Call:
    options: dict[str, str] = {}
    rest = sorted(arguments, key=_is_argument) if tool.options_anywhere else list(arguments)
    while rest and not _is_argument(rest[0]):
        option = rest.pop(0)
        name = option[2:].replace("_", "-")
        if "=" in name:
            raise DataError(f"options to scripts must be of the form --name value, got '{option}'")
        if name in tool.flags:
            options[name] = ""
        elif name in tool.settings:
            if not rest:
                raise DataError(f"option {option} needs a value")
            options[name] = rest.pop(0)
        else:
            raise DataError(f"invalid option {option}")
    return Call(program, options, rest)


def _is_argument(word: str) -> bool:
    return not word.startswith("--")


def _boolean(call: Call, name: str, default: str) -> bool:
    value = call.options.get(name, default)
    if value not in ("true", "false"):
        raise DataError(f'expected "true" or "false": --{name} {value}')
    return value == "true"


def _validate(call: Call) -> None:
    flags = {name.replace("-", "_"): True for name in call.options}
    validate(call.arguments[0], **flags, program=call.program)


def _fix(call: Call) -> None:
    fix(call.arguments[0], program=call.program)


_CHOICES = {
    "speakers": kaldi_subset.whole_speakers,
    "shortest": kaldi_subset.shortest,
    "first": kaldi_subset.first,
    "last": kaldi_subset.last,
    "per-spk": kaldi_subset.per_speaker,
}


def _subset(call: Call) -> None:
    if len(call.options) > 1:
        raise DataError(f"only one of {', '.join('--' + name for name in call.options)} can be given")
    option, value = next(iter(call.options.items()), ("", ""))
    lists = {"utt-list": kaldi_subset.subset_by_utterances, "spk-list": kaldi_subset.subset_by_speakers}
    if option in lists:
        source, dest, *surplus = call.arguments
        if surplus:
            raise DataError(f"--{option} takes no number of utterances")
        lists[option](source, value, dest, program=call.program)
        return
    if len(call.arguments) != 3:
        raise DataError("the number of utterances is missing: <srcdir> <num-utt> <destdir>")
    source, number, dest = call.arguments
    if not number.isascii() or not number.isdigit() or int(number) == 0:
        raise DataError(f"the number of utterances must be a whole number above 0, got '{number}'")
    choice = _CHOICES.get(option, kaldi_subset.drawn)
    kaldi_subset.subset(source, int(number), dest, choice, program=call.program)


def _combine(call: Call) -> None:
    dest, *sources = call.arguments
    extra_files = call.options.get("extra-files", "").split()
    combine(dest, sources, extra_files, _boolean(call, "skip-fix", "false"), program=call.program)


def _naming(call: Call) -> kaldi_perturb.Naming:
    new_speakers = _boolean(call, "include-spk-prefix", "true")
    return kaldi_perturb.as_new_speakers if new_speakers else kaldi_perturb.as_same_speakers


def _perturb_speed(call: Call) -> None:
    factor, source, dest = call.arguments
    kaldi_perturb.perturb_speed(factor, source, dest, _naming(call), program=call.program)


def _perturb_speed_3way(call: Call) -> None:
    prefix = _boolean(call, "always-include-prefix", "false")
    source, dest = call.arguments
    kaldi_perturb.perturb_speed_3way(source, dest, _naming(call), always_include_prefix=prefix, program=call.program)


def _convert(call: Call, convert: Callable[[dict[str, str]], dict[str, str]]) -> None:
    table = read_table(call.arguments[0] if call.arguments else "/dev/stdin")
    sys.stdout.writelines(f"{key} {value}\n" for key, value in convert(table).items())


def _utt2dur(call: Call) -> None:
    utt2dur(call.arguments[0], jobs=_positive(call, "nj", 4), program=call.program)


def _positive(call: Call, name: str, default: int) -> int:
    value = call.options.get(name, str(default))
    if not value.isascii() or not value.isdigit() or int(value) == 0:
        raise DataError(f"--{name} must be a whole number above 0, got '{value}'")
    return int(value)


def _raw_list(call: Call) -> None:
    from wenet_lite.data.wenet_lists import make_raw_list  # here: soundfile would slow the other tools' start

    wav_scp, text, output = call.arguments
    make_raw_list(wav_scp, text, output, call.options.get("segments"))


def _shard_list(call: Call) -> None:
    from wenet_lite.data.shards import ShardOptions
    from wenet_lite.data.wenet_lists import make_shard_list

    wav_scp, text, shards_dir, output = call.arguments
    size, rate = _positive(call, "num-utts-per-shard", 1000), _positive(call, "resample", 16000)
    options = ShardOptions(size, "wav", rate, call.options.get("prefix", "shards"))
    jobs = _positive(call, "num-threads", 1)
    make_shard_list(wav_scp, text, shards_dir, output, options, call.options.get("segments"), jobs)


TOOLS = {
    "validate_data_dir": Tool(
        _validate,
        """[--no-feats] [--no-text] [--non-print] [--no-wav] [--no-spk-sort] <data-dir>
The --no-xxx options mean that xxx need not be there; it is checked where it is.
--non-print lets text hold non-printable characters.
--no-spk-sort lets speaker-ids be no prefixes of utterance-ids.""",
        (1, 1),
        flags=("no-feats", "no-text", "non-print", "no-wav", "no-spk-sort"),
        options_anywhere=True,
    ),
    "fix_data_dir": Tool(
        _fix,
        """<data-dir>
Sorts the files of a data directory and keeps the utterances that all of them have;
the files as they were stay in <data-dir>/.backup.""",
        (1, 1),
    ),
    "subset_data_dir": Tool(
        _subset,
        """[--speakers|--shortest|--first|--last|--per-spk] <srcdir> <num-utt> <destdir>
   or: subset_data_dir.sh --spk-list <speaker-list-file> <srcdir> <destdir>
   or: subset_data_dir.sh --utt-list <utterance-list-file> <srcdir> <destdir>
By default, randomly selects <num-utt> utterances from the data directory; <destdir> is made anew.
With --speakers, randomly selects enough speakers that we have <num-utt> utterances
With --per-spk, selects <num-utt> utterances per speaker, if available.
With --first, --last or --shortest, selects the first, last or shortest <num-utt> utterances.""",
        (2, 3),
        flags=tuple(_CHOICES),
        settings=("spk-list", "utt-list"),
    ),
    "combine_data": Tool(
        _combine,
        """[--extra-files 'file1 file2'] [--skip-fix true] <dest-data-dir> <src-data-dir1> <src-data-dir2> ...
Note, files that don't appear in all source dirs will not be combined,
with the exception of utt2uniq and segments, which are created where necessary.""",
        (2, float("inf")),
        settings=("extra-files", "skip-fix"),
    ),
    "perturb_data_dir_speed": Tool(
        _perturb_speed,
        """[--include-spk-prefix true|false] <warping-factor> <srcdir> <destdir>
Makes <destdir> of the utterances of <srcdir>, spoken <warping-factor> times as fast: wav.scp pipes through sox.
Ids of utterances and speakers begin with 'sp<warping-factor>-'; with --include-spk-prefix false
speakers stay who they are, and ids of utterances end in '-sp<warping-factor>'.""",
        (3, 3),
        settings=("include-spk-prefix",),
    ),
    "perturb_data_dir_speed_3way": Tool(
        _perturb_speed_3way,
        """[--always-include-prefix true|false] [--include-spk-prefix true|false] <srcdir> <destdir>
Makes <destdir> of the utterances of <srcdir> at the speeds 0.9, 1.0 and 1.1, see perturb_data_dir_speed.sh.
With --always-include-prefix true the ids of speed 1.0 change too, to 'sp1.0-': some need that to be sorted.""",
        (2, 2),
        settings=("always-include-prefix", "include-spk-prefix"),
    ),
    "utt2spk_to_spk2utt": Tool(
        partial(_convert, convert=spk2utt_from), "[<utt2spk>] > spk2utt   (reads standard input without it)", (0, 1)
    ),
    "spk2utt_to_utt2spk": Tool(
        partial(_convert, convert=utt2spk_from), "[<spk2utt>] > utt2spk   (reads standard input without it)", (0, 1)
    ),
    "get_utt2dur": Tool(
        _utt2dur,
        """[--nj <jobs>] <data-dir>
Writes <data-dir>/utt2dur, seconds, from segments or else from the headers of the files in wav.scp.""",
        (1, 1),
        settings=("nj",),
    ),
    "make_raw_list": Tool(
        _raw_list,
        """[--segments <segments>] <wav.scp> <text> <data.list>
Lists the utterances of <text> with their audio and how long it is; the text stays as it is.""",
        (3, 3),
        settings=("segments",),
    ),
    "make_shard_list": Tool(
        _shard_list,
        """[--num_utts_per_shard 1000] [--num_threads 1] [--prefix shards] [--segments <segments>] [--resample 16000]
   <wav.scp> <text> <shards-dir> <shards.list>
Packs the utterances of <text> into tars of WAV files, each with its index, and lists them.""",
        (4, 4),
        settings=("num-utts-per-shard", "num-threads", "prefix", "segments", "resample"),
    ),
}


if __name__ == "__main__":
    raise SystemExit(command.run(main))
