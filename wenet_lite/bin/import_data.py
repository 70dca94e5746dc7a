"""Make a Kaldi data directory of a CSV table, a Hugging Face audio folder or lhotse manifests."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from wenet_lite.bin import command
from wenet_lite.data.importers import assemble, write_imported
from wenet_lite.data.importers_csv import ROLES, csv_utterances
from wenet_lite.data.importers_hf import hf_splits, hf_utterances
from wenet_lite.data.importers_lhotse import lhotse_utterances
from wenet_lite.data.importers_source import SourceUtterance

_FORMATS = {
    "csv": "a CSV or TSV file with headings, such as Common Voice's",
    "hf": "a Hugging Face audio folder; its splits, where there are any, become directories inside DEST",
    "lhotse": "recordings and supervisions, or cuts: a folder, or the files",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite import_data`."""
    parser = command.Parser(prog="import_data", description=__doc__)
    formats = "; ".join(f"{name}: {what}" for name, what in _FORMATS.items())
    parser.add_argument("--format", choices=list(_FORMATS), required=True, help=formats)
    parser.add_argument("source", nargs="+", type=Path, help="what to import")
    parser.add_argument("dest", type=Path, metavar="DEST", help="data directory to make; an old one is replaced")
    parser.add_argument(
        "--audio-dir", type=Path, help="what audio paths are relative to (csv, hf: the folder of the table)"
    )
    parser.add_argument(
        "--columns",
        type=_columns,
        default={},
        help=f"headings of a table: id=..,audio=..; there are {', '.join(ROLES)}",
    )
    parser.add_argument(
        "--quotes", choices=("csv", "none"), default="csv", help='what a " in a csv table is (%(default)s)'
    )
    parser.add_argument(
        "--max-bad-fraction", type=float, default=0.01, help="part of the utterances that may be left out (%(default)s)"
    )
    args = parser.parse_args(argv)
    if args.format != "lhotse" and len(args.source) > 1:
        parser.error(f"--format {args.format} takes one source")
    if args.format == "lhotse" and (args.columns or args.quotes != "csv"):
        parser.error("--columns and --quotes are of tables: --format lhotse has none")
    # all is read before the first directory is written
    directories = {
        args.dest / split: assemble(utterances, source, args.max_bad_fraction)
        for split, (source, utterances) in _read(args).items()
    }
    for dest, imported in directories.items():
        write_imported(imported, dest)
    return 0


def _read(args: argparse.Namespace) -> dict[str, tuple[Path, Iterable[SourceUtterance]]]:
    """Split -> where it is told of, and its utterances."""
    source: Path = args.source[0]
    audio_dir, columns, quotes = args.audio_dir, args.columns, args.quotes == "csv"
    if args.format == "lhotse":
        return {".": (source, lhotse_utterances(args.source, audio_dir or ""))}
    if args.format == "hf":
        metadata = hf_splits(source)
        return {
            split: (file, hf_utterances(file, audio_dir, columns, quotes=quotes)) for split, file in metadata.items()
        }
    return {".": (source, csv_utterances(source, audio_dir, columns, quotes=quotes))}


def _columns(value: str) -> dict[str, str]:
    columns = dict(pair.partition("=")[::2] for pair in value.split(","))
    unknown = [role for role in columns if role not in ROLES]
    if unknown or not all(columns.values()):
        raise argparse.ArgumentTypeError(f"'{value}' is not of the form {'=..,'.join(ROLES)}=..")
    return columns


if __name__ == "__main__":
    raise SystemExit(command.run(main))
