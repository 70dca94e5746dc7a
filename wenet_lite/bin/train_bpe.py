"""Make a lang directory of a transcript file: the units, sentencepiece's model and the text rules."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from wenet_lite.bin import command
from wenet_lite.config import apply_overrides, from_dict, load_yaml
from wenet_lite.data.kaldi import read_table
from wenet_lite.text.lang_dir import make_lang_dir
from wenet_lite.text.rules import TextRules

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite train_bpe`."""
    parser = command.Parser(prog="train_bpe", description=__doc__)
    parser.add_argument("--text", required=True, help="Kaldi text file: <utterance> <words>")
    parser.add_argument("--vocab-size", type=int, required=True, help="pieces of the model; most of char's units")
    parser.add_argument(
        "--model-type", choices=["unigram", "bpe", "char"], default="unigram", help="char: no model (%(default)s)"
    )
    parser.add_argument("--config", help="experiment YAML; its text section has the rules (default: upper case)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting")
    parser.add_argument("--output-dir", required=True, help="lang directory to make")
    args = parser.parse_args(argv)
    tree = apply_overrides(load_yaml(args.config) if args.config else {}, args.set)
    rules = from_dict(TextRules, tree.get("text") or {}, path=args.config, at="text")
    transcripts = list(read_table(args.text).values())
    count = make_lang_dir(transcripts, rules, args.vocab_size, args.model_type, args.output_dir)
    _LOG.info("%s: %d units", args.output_dir, count)
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
