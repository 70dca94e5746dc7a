"""Tell what data directories and lists hold, share and have wrong: as text, and as one HTML page."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command
from wenet_lite.data.describe import DescribeOptions, describe
from wenet_lite.data.describe_audio import AudioOptions
from wenet_lite.data.describe_page import as_page
from wenet_lite.data.describe_plain import as_text
from wenet_lite.data.describe_read import read_data_sets
from wenet_lite.data.kaldi import write_lines
from wenet_lite.errors import DataError

_SCHEMA = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite describe_data`."""
    parser = command.Parser(prog="describe_data", description=__doc__)
    parser.add_argument("sets", nargs="+", help="data directories, data.list files or lists of shards; training first")
    parser.add_argument("--output", type=Path, metavar="PAGE", help="HTML page to write")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file to write all figures to")
    parser.add_argument("--lang-dir", help="count what its units do not know")
    parser.add_argument("--no-audio", action="store_true", help="look at texts and lengths only")
    parser.add_argument(
        "--max-audio", type=_count, default=2000, help="utterances of each set to hear, 0 for all (%(default)s)"
    )
    parser.add_argument("--examples", type=_count, default=20, help="items of each list (%(default)s)")
    parser.add_argument("--jobs", type=_count, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands that stand for audio")
    args = parser.parse_args(argv)
    jobs = max(args.jobs, 1)
    for path in filter(None, (args.output, args.json)):
        if not path.parent.is_dir():  # told now, not after an hour of audio
            raise DataError("cannot be written: its folder does not exist", path=path)
    audio = None if args.no_audio else AudioOptions(jobs, args.max_audio, args.allow_pipes)
    sets = read_data_sets(args.sets, jobs, allow_pipes=args.allow_pipes)
    description = describe(sets, DescribeOptions(audio, args.examples, args.lang_dir))
    if args.output:
        write_lines(args.output, [as_page(description).rstrip("\n").encode()])
    if args.json:
        tree = {"schema": _SCHEMA, **dataclasses.asdict(description)}
        write_lines(args.json, [json.dumps(tree, indent=1, allow_nan=False).encode()])
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` may close the pipe
    print(as_text(description), end="")
    return 0


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number")
    return int(text)


if __name__ == "__main__":
    raise SystemExit(command.run(main))
