"""Reorder the n-best lists of a decode by a language model, an ARPA file or KenLM's binary."""

from __future__ import annotations

from collections.abc import Sequence
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
    args = parser.parse_args(argv)

    from wenet_lite.data.kaldi import read_table, write_table
    from wenet_lite.decoding.lm_rescoring import LanguageModel, read_nbest, rescore
    from wenet_lite.decoding.lm_tuning import TunedWeights, tune_weights
    from wenet_lite.decoding.ngram_arpa import read_arpa
    from wenet_lite.decoding.ngram_kenlm import KenLm

    nbests = read_nbest(args.nbest)
    is_arpa = str(args.lm).removesuffix(".gz").endswith(".arpa")
    lm: LanguageModel = read_arpa(args.lm) if is_arpa else KenLm(args.lm)
    if args.tune:
        ref, path = args.tune
        tuned = tune_weights(nbests, read_table(ref), lm)
        tuned.write(path)
        print(f"lm_weight {tuned.weights.lm_weight:g}, word_bonus {tuned.weights.word_bonus:g}")
        print(f"WER {tuned.first_wer:.2f} % before, {tuned.wer:.2f} % after, {tuned.best_wer:.2f} % at best")
    else:
        tuned = TunedWeights.read(args.weights)
    write_table(args.output, {nbest.key: nbest.texts[0] for nbest in rescore(nbests, lm, tuned.weights)})
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
