"""Reorder the n-best lists of a decode by a language model, an ARPA file or KenLM's binary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from wenet_lite.bin import command


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite rescore_nbest`."""
    parser = command.Parser(prog="rescore_nbest", description=__doc__)
    parser.add_argument("--nbest", required=True, type=Path, help="nbest.jsonl of a decode without a language model")
    parser.add_argument("--lm", required=True, type=Path, help="ARPA file, .gz too, or KenLM's binary file")
    parser.add_argument("--output", required=True, type=Path, help="text of the best readings, sorted by id")
    weights = parser.add_mutually_exclusive_group(required=True)
    weights.add_argument("--weights", type=Path, metavar="JSON", help="weights that this command has tuned")
    weights.add_argument("--tune", nargs=2, type=Path, metavar=("REF", "JSON"), help="tune them on REF, write JSON")
    parser.add_argument("--rules", type=Path, help="lang directory: text rules of REF, and what words are")
    args = parser.parse_args(argv)

    from wenet_lite.data.kaldi import read_table, write_table
    from wenet_lite.decoding.lm_rescoring import LanguageModel, read_nbest, rescore
    from wenet_lite.decoding.lm_tuning import RescoringWeights, tune_weights
    from wenet_lite.decoding.ngram_arpa import read_arpa
    from wenet_lite.decoding.ngram_kenlm import KenLm
    from wenet_lite.text.ideographs import split_words
    from wenet_lite.text.rules import TextRules, load_rules
    from wenet_lite.text.tokenizer import read_units, word_splitter

    rules = TextRules(case="keep", normalise=False, apostrophe="keep")
    words: Callable[[str], list[str]] = split_words
    if args.rules:
        rules, words = load_rules(args.rules), word_splitter(read_units(args.rules / "units.txt"))

    def separated(text: str) -> str:
        return " ".join(words(text))

    nbests = read_nbest(args.nbest)
    written = {separated(text): text for nbest in nbests for text in nbest.texts}
    nbests = [replace(nbest, texts=tuple(map(separated, nbest.texts))) for nbest in nbests]
    is_arpa = str(args.lm).removesuffix(".gz").endswith(".arpa")
    lm: LanguageModel = read_arpa(args.lm) if is_arpa else KenLm(args.lm)
    if args.tune:
        ref, path = args.tune
        refs = {key: separated(rules(text)) for key, text in read_table(ref).items()}
        tuned = tune_weights(nbests, refs, lm)
        tuned.write(path)
        print(f"lm_weight {tuned.lm_weight:g}, word_bonus {tuned.word_bonus:g}")
        print(f"WER {tuned.wer_without:.2f} % before, {tuned.wer:.2f} % after, {tuned.best_wer:.2f} % at best")
    else:
        tuned = RescoringWeights.read(args.weights)
    write_table(args.output, {nbest.key: written[nbest.texts[0]] for nbest in rescore(nbests, lm, tuned)})
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
