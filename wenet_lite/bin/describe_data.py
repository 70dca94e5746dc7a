"""Tell what data directories and lists hold, as text and as one HTML page."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command
from wenet_lite.data.describe import DescribeOptions, describe
from wenet_lite.data.describe_page import as_page, as_text
from wenet_lite.data.describe_read import read_data_sets


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite describe_data`."""
    defaults = DescribeOptions()
    parser = command.Parser(prog="describe_data", description=__doc__)
    parser.add_argument("sets", nargs="+", help="data directories, data.list files or lists of shards; training first")
    parser.add_argument("--output", type=Path, metavar="PAGE", help="HTML page to write")
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    parser.add_argument("--lang-dir", default="", help="count what its units do not know")
    parser.add_argument("--no-audio", action="store_true", help="look at text and lengths only")
    parser.add_argument(
        "--max-audio", type=int, default=defaults.max_audio, help="utterances read, 0: all (%(default)s)"
    )
    parser.add_argument("--examples", type=int, default=defaults.examples, help="items of each list (%(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands that are listed for audio")
    args = parser.parse_args(argv)
    options = DescribeOptions(
        jobs=args.jobs,
        audio=not args.no_audio,
        max_audio=args.max_audio,
        examples=args.examples,
        lang_dir=args.lang_dir,
        allow_pipes=args.allow_pipes,
    )
    sets = read_data_sets(args.sets, args.jobs, allow_pipes=args.allow_pipes)
    description = describe(sets, options)
    if args.output:
        _write(args.output, as_page(description))
    if args.json:
        tree = {"schema": 1, **dataclasses.asdict(description)}
        _write(args.json, json.dumps(tree, ensure_ascii=False, indent=1) + "\n")
    print(as_text(description), end="")
    return 0


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    raise SystemExit(command.run(main))
