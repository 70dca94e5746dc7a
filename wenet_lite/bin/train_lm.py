"""Estimate an n-gram language model (interpolated modified Kneser-Ney) and write it as an ARPA file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from wenet_lite.bin import command

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite train_lm`."""
    parser = command.Parser(prog="train_lm", description=__doc__)
    parser.add_argument("--text", nargs="+", default=[], help="Kaldi text files, <utterance> <words> a line; .gz too")
    parser.add_argument("--plain-text", nargs="+", default=[], help="text files, a sentence a line; .gz too")
    parser.add_argument("--output", required=True, help="ARPA file to write; .gz is packed")
    parser.add_argument("--order", type=int, default=3, help="words of the longest n-grams (%(default)s)")
    parser.add_argument(
        "--prune",
        type=int,
        nargs="+",
        default=[0],
        help="for each order from 1, leave out n-grams that occur at most so often; the last holds above it too (0)",
    )
    parser.add_argument("--vocab-size", type=int, help="most words to keep; the others are <unk> (all)")
    parser.add_argument("--min-count", type=int, default=1, help="rarer words are <unk> (%(default)s)")
    parser.add_argument(
        "--rules",
        type=Path,
        help="lang or run directory: text rules, and what words are (text as it is)",
    )
    parser.add_argument("--dev-text", help="Kaldi text file of which perplexity and unknown words are told")
    args = parser.parse_args(argv)
    if not args.text and not args.plain_text:
        parser.error("give --text or --plain-text")

    from wenet_lite.config import from_dict
    from wenet_lite.decoding.lm_coverage import check_coverage
    from wenet_lite.decoding.lm_text import plain_sentences, transcripts
    from wenet_lite.decoding.ngram_arpa import write_arpa
    from wenet_lite.decoding.ngram_estimation import EstimationOptions, estimate_lm
    from wenet_lite.text.ideographs import split_words
    from wenet_lite.text.rules import TextRules, load_rules
    from wenet_lite.text.tokenizer import read_units, word_splitter

    rules = TextRules(case="keep", normalise=False, apostrophe="keep")
    words: Callable[[str], list[str]] = split_words
    if args.rules:
        rules = load_rules(args.rules)
    if args.rules and (args.rules / "units.txt").exists():
        words = word_splitter(read_units(args.rules / "units.txt"))

    def prepare(text: str) -> str:
        return " ".join(words(rules(text)))

    names = ("order", "prune", "vocab_size", "min_count")
    options = from_dict(EstimationOptions, {name: getattr(args, name) for name in names})
    sentences = chain(
        chain.from_iterable(transcripts(path, prepare) for path in args.text),
        chain.from_iterable(plain_sentences(path, prepare) for path in args.plain_text),
    )
    lm = estimate_lm(sentences, options)
    write_arpa(lm, args.output)
    for order, count in enumerate(lm.num_ngrams, 1):
        print(f"{order}-grams: {count}")
    if args.dev_text:
        dev = list(transcripts(args.dev_text, prepare))
        score, coverage = lm.evaluate(dev), check_coverage(lm.words, dev)
        print(f"perplexity: {score.perplexity:.1f}, without unknown words {score.known_perplexity:.1f}")
        print(f"OOV rate: {score.oov_rate:.2f} % ({score.num_unknown} of {score.num_words} words)")
        if coverage.cure:
            _LOG.warning("%s: %s", args.dev_text, coverage)
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
