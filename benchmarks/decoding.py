"""Speed of every search against WeNet's, on one thread.

    python benchmarks/decoding.py --wenet <WeNet checkout> [--only ctc|attention]
        [--exp-dir <run> --checkpoint <weights> --data <data.list> --lm-text <Kaldi's text>]

The run and its data add the rows of a trained model: its posteriors, fusion with a language model of the text and with
hotwords from it, and greedy decoding beside the encoder.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))

from decoding_attention import measure_attention
from decoding_ctc import Trained, measure_ctc
from measure import Row, machine_line, print_rows
from wenet_checkout import open_checkout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wenet", type=Path, required=True, help="WeNet checkout to measure against")
    parser.add_argument("--only", choices=["ctc", "attention"], help="part of the rows")
    parser.add_argument("--exp-dir", type=Path, help="run of a trained model")
    parser.add_argument("--checkpoint", type=Path, help="its weights")
    parser.add_argument("--data", type=Path, help="data.list of utterances for it")
    parser.add_argument("--lm-text", type=Path, help="transcripts with ids, for language model and hotwords")
    parser.add_argument("--count", type=int, default=64, help="utterances that are taken (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="turns of each candidate (default: %(default)s)")
    args = parser.parse_args()
    paths = (args.exp_dir, args.checkpoint, args.data, args.lm_text)
    if any(paths) and not all(paths):
        parser.error("--exp-dir, --checkpoint, --data and --lm-text belong together")
    open_checkout(args.wenet)
    trained = Trained(*paths, args.count) if all(paths) else None
    print(machine_line())
    return 0 if print_rows(rows(args, trained)) else 1


def rows(args: argparse.Namespace, trained: Trained | None) -> Iterator[Row]:
    if args.only != "attention":
        yield from measure_ctc(trained, args.repeats)
    if args.only != "ctc":
        yield from measure_attention(args.wenet, args.repeats)


if __name__ == "__main__":
    raise SystemExit(main())
