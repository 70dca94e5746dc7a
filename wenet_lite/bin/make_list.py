"""Turn a Kaldi data directory into `data.list`, with text rules applied and unknown units counted."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from wenet_lite.bin import command
from wenet_lite.data.manifest import write_manifest
from wenet_lite.data.prepare import utterances_of
from wenet_lite.errors import DataError
from wenet_lite.text.tokenizer import UNKNOWN, BpeTokenizer

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite make_list`."""
    parser = command.Parser(prog="make_list", description=__doc__)
    parser.add_argument("--data-dir", required=True, help="Kaldi data directory with wav.scp, text and utt2spk")
    parser.add_argument("--lang-dir", required=True, help="its text rules are applied, its units counted")
    parser.add_argument("--output", required=True, help="data.list to write")
    parser.add_argument("--max-unknown", type=float, default=0.01, help="part of units that may be <unk> (%(default)s)")
    args = parser.parse_args(argv)
    tokenizer = BpeTokenizer(args.lang_dir)
    utterances = utterances_of(args.data_dir, tokenizer.rules)
    ids = [index for utterance in utterances for index in tokenizer.encode(utterance.txt)]
    unknown = ids.count(tokenizer.units[UNKNOWN]) / max(len(ids), 1)
    if unknown > args.max_unknown:
        raise DataError(
            f"{100 * unknown:.2f} % of the units are unknown",
            path=args.data_dir,
            cure="make the lang directory of this text",
        )
    count = write_manifest(utterances, args.output)
    hours = sum(utterance.duration for utterance in utterances) / 3600
    _LOG.info("%s: %d utterances, %.2f h, %.2f %% unknown units", args.output, count, hours, 100 * unknown)
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
