"""Score hypotheses against references: three lines as Kaldi's compute-wer prints them, then what else is asked for.

Without --rules references are compared as they stand; a data directory's `text` is raw, while hypotheses consist of
the model's units, so that case or apostrophes that the model's text rules change count as errors.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite score`."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.audio and not args.html:
        parser.error("--audio needs --html, the page that plays it")

    from wenet_lite.scoring.audio_links import audio_links
    from wenet_lite.scoring.details import write_details
    from wenet_lite.scoring.evaluation import EvaluationOptions, evaluate
    from wenet_lite.scoring.page import write_page
    from wenet_lite.scoring.plain import evaluation_lines
    from wenet_lite.scoring.wer import missing_error

    options = EvaluationOptions(args.mode, args.unit, args.rules, args.utt2spk, args.compare, args.hotwords, args.nbest)
    evaluation = evaluate(args.ref, args.hyp, options)
    if args.html:
        links = audio_links(args.audio, args.html) if args.audio else {}
        write_page(evaluation, args.hyp, links, args.html)
    if args.details:
        write_details(evaluation.scores, args.details)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` may close the pipe
    for line in evaluation_lines(evaluation, args.frequent):
        print(line)
    if evaluation.scores.missing and args.mode == "strict":
        raise missing_error(evaluation.scores, args.ref, args.hyp)
    return 0


def _parser() -> command.Parser:
    parser = command.Parser(prog="score", description=__doc__)
    parser.add_argument("--ref", required=True, help="reference transcripts, data/x/text")
    parser.add_argument("--hyp", required=True, help="decoded text")
    parser.add_argument("--rules", help="apply these text rules to references: a lang or model directory, or its YAML")
    parser.add_argument("--details", help="write every utterance's alignment to this file")
    parser.add_argument(
        "--mode",
        choices=("strict", "present", "all"),
        default="strict",
        help="missing hypotheses are deletions and an error (strict), are left out (present), are deletions (all)",
    )
    parser.add_argument("--unit", choices=("word", "char"), default="word", help="what is counted (%(default)s)")
    parser.add_argument("--utt2spk", help="tell the error rate of each speaker, and resample speakers if 20 or more")
    parser.add_argument("--frequent", type=_count, default=0, metavar="N", help="list the N most frequent errors")
    parser.add_argument("--compare", metavar="TEXT", help="another system's hypotheses: tell which system is better")
    parser.add_argument("--hotwords", metavar="FILE", help="phrases, one a line: tell the WER on them and on the rest")
    parser.add_argument(
        "--nbest", metavar="FILE", help="nbest.jsonl of the decode: tell the WER of the best of each list"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with everything, worst utterance first")
    parser.add_argument("--audio", metavar="FILE", help="data.list or wav.scp: the page plays the audio that it names")
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number")
    return int(text)


if __name__ == "__main__":
    raise SystemExit(command.run(main))
