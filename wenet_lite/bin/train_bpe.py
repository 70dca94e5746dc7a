"""Train a sentencepiece model on a transcript file and write a lang directory."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from wenet_lite.bin import command
from wenet_lite.data.kaldi import read_table
from wenet_lite.text.bpe import make_lang_dir
from wenet_lite.text.rules import TextRules

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite train_bpe`."""
    parser = command.Parser(prog="train_bpe", description=__doc__)
    parser.add_argument("--text", required=True, help="Kaldi text file: <utterance> <words>")
    parser.add_argument("--vocab-size", type=int, required=True, help="pieces of the model")
    parser.add_argument("--model-type", choices=["unigram", "bpe", "char"], default="unigram", help="(%(default)s)")
    parser.add_argument("--case", choices=["upper", "lower", "keep"], default="upper", help="letter case (%(default)s)")
    parser.add_argument("--output-dir", required=True, help="lang directory to make")
    args = parser.parse_args(argv)
    rules = TextRules(case=args.case)
    count = make_lang_dir(
        list(read_table(args.text).values()), rules, args.vocab_size, args.model_type, args.output_dir
    )
    _LOG.info("%s: %d units", args.output_dir, count)
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
