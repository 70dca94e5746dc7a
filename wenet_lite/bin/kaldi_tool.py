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
from wenet_lite.data import kaldi_subset
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
    """

    run: Callable[[Call], None]
    usage: str
    num_arguments: tuple[int, float]
    flags: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


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
    rest = list(arguments)
    while rest and rest[0].startswith("--"):
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
    skip_fix = call.options.get("skip-fix", "false")
    if skip_fix not in ("true", "false"):
        raise DataError(f'expected "true" or "false": --skip-fix {skip_fix}')
    dest, *sources = call.arguments
    extra_files = call.options.get("extra-files", "").split()
    combine(dest, sources, extra_files, skip_fix == "true", program=call.program)


def _convert(call: Call, convert: Callable[[dict[str, str]], dict[str, str]]) -> None:
    table = read_table(call.arguments[0] if call.arguments else "/dev/stdin")
    sys.stdout.writelines(f"{key} {value}\n" for key, value in convert(table).items())


def _utt2dur(call: Call) -> None:
    jobs = call.options.get("nj", "4")
    if not jobs.isascii() or not jobs.isdigit() or int(jobs) == 0:
        raise DataError(f"--nj must be a whole number above 0, got '{jobs}'")
    utt2dur(call.arguments[0], jobs=int(jobs), program=call.program)


TOOLS = {
    "validate_data_dir": Tool(
        _validate,
        """[--no-feats] [--no-text] [--non-print] [--no-wav] [--no-spk-sort] <data-dir>
The --no-xxx options mean that xxx need not be there; it is checked where it is.
--non-print lets text hold non-printable characters.
--no-spk-sort lets speaker-ids be no prefixes of utterance-ids.""",
        (1, 1),
        flags=("no-feats", "no-text", "non-print", "no-wav", "no-spk-sort"),
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
}


if __name__ == "__main__":
    raise SystemExit(command.run(main))
