"""Score hypotheses against references: three lines as Kaldi's compute-wer prints them."""

from __future__ import annotations

from collections.abc import Sequence

from wenet_lite.bin import command
from wenet_lite.errors import DataError
from wenet_lite.scoring.details import write_details
from wenet_lite.scoring.wer import abridged, score_files


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite score`."""
    parser = command.Parser(prog="score", description=__doc__)
    parser.add_argument("--ref", required=True, help="reference transcripts, data/x/text")
    parser.add_argument("--hyp", required=True, help="decoded text")
    parser.add_argument("--details", help="write every utterance's alignment to this file")
    parser.add_argument(
        "--mode",
        choices=("strict", "present", "all"),
        default="strict",
        help="missing hypotheses are deletions and an error (strict), are left out (present), are deletions (all)",
    )
    parser.add_argument("--unit", choices=("word", "char"), default="word", help="what is counted (%(default)s)")
    args = parser.parse_args(argv)
    scores = score_files(args.ref, args.hyp, args.mode, args.unit)
    if args.details:
        write_details(scores, args.details)
    print(scores)
    if scores.missing and args.mode == "strict":
        raise DataError(
            f"has no hypothesis for {len(scores.missing)} utterances of {args.ref}: {abridged(scores.missing)}",
            path=args.hyp,
            cure="decode them, or count them as deletions with --mode all",
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
