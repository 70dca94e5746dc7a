"""Turn a Kaldi data directory into `data.list`, with text rules applied and unknown units counted; or index a list."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Mapping, Sequence

from wenet_lite.bin import command
from wenet_lite.data.indexing import make_index
from wenet_lite.data.manifest import write_manifest
from wenet_lite.data.prepare import utterances_of
from wenet_lite.data.utterance import Utterance
from wenet_lite.errors import DataError
from wenet_lite.text.tokenizer import UNKNOWN, Tokenizer, load_tokenizer

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite make_list`."""
    parser = command.Parser(prog="make_list", description=__doc__)
    parser.add_argument("--data-dir", help="Kaldi data directory with wav.scp, text and utt2spk")
    parser.add_argument("--lang-dir", help="its text rules are applied, its units counted")
    parser.add_argument("--output", help="data.list to write")
    parser.add_argument("--index", metavar="LIST", help="instead: index a list without durations, or of shards")
    parser.add_argument("--max-unknown", type=float, default=0.01, help="part of units that may be <unk> (%(default)s)")
    parser.add_argument("--max-bad-fraction", type=float, default=0.01, help="unusable utterances (%(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="headers read at a time (%(default)s)")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands that are listed for audio")
    args = parser.parse_args(argv)
    if args.jobs < 1:
        parser.error("--jobs must be at least 1")
    if args.index:
        count, failed = make_index(args.index, args.jobs, allow_pipes=args.allow_pipes)
        report_failed(args.index, count, failed, args.max_bad_fraction)
        _LOG.info("%s: %d utterances indexed, %d of them unusable", args.index, count, len(failed))
        return 0
    if not (args.data_dir and args.lang_dir and args.output):
        parser.error("--data-dir, --lang-dir and --output are required, or --index")
    utterances = usable_utterances(args, load_tokenizer(args.lang_dir))
    count = write_manifest(utterances, args.output)
    _LOG.info("%s: %d utterances, %.2f h", args.output, count, sum(u.duration for u in utterances) / 3600)
    return 0


def usable_utterances(args: argparse.Namespace, tokenizer: Tokenizer) -> list[Utterance]:
    """The utterances of `args.data_dir`, checked against the bounds on bad utterances and unknown units."""
    utterances, failed = utterances_of(args.data_dir, tokenizer.rules, allow_pipes=args.allow_pipes, jobs=args.jobs)
    if not utterances and not failed:
        raise DataError("has no utterance", path=args.data_dir)
    report_failed(args.data_dir, len(utterances) + len(failed), failed, args.max_bad_fraction)
    total = unknown = 0
    for utterance in utterances:
        pieces = tokenizer.split(utterance.txt)
        total += len(pieces)
        unknown += sum(piece not in tokenizer.units or piece == UNKNOWN for piece in pieces)
    rate = unknown / max(total, 1)
    if rate > args.max_unknown:
        cure = "make the lang directory of this text, or raise --max-unknown"
        raise DataError(f"{100 * rate:.2f} % of the units are unknown", path=args.data_dir, cure=cure)
    _LOG.info("%s: %.2f %% unknown units", args.data_dir, 100 * rate)
    return utterances


def report_failed(path: str, total: int, failed: Mapping[str, str], max_bad_fraction: float) -> None:
    """Log what is left out by id and reason; too much of it is an error."""
    for key, reason in failed.items():
        _LOG.warning("utterance %s left out: %s", key, reason)
    if len(failed) > max_bad_fraction * total:
        key, reason = next(iter(failed.items()))
        message = f"{len(failed)} of {total} utterances cannot be used, such as {key}: {reason}"
        raise DataError(message, path=path, cure="mend or remove them, or raise --max-bad-fraction")


if __name__ == "__main__":
    raise SystemExit(command.run(main))
