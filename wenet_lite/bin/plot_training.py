"""Draw training runs, from the metrics.jsonl of each: losses, WER, learning rate, speed and use of experts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command

_FORMATS = (".png", ".pdf", ".svg")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite plot_training`."""
    parser = command.Parser(prog="plot_training", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="EXP", help="folder of a run; several are compared")
    parser.add_argument(
        "--output", required=True, type=Path, metavar="FILE", help=f"picture to write: {', '.join(_FORMATS)}"
    )
    args = parser.parse_args(argv)
    if args.output.suffix not in _FORMATS:
        parser.error(f"--output {args.output} does not end in {', '.join(_FORMATS)}")

    from wenet_lite.training.metrics import read_runs
    from wenet_lite.training.plot import draw_runs

    draw_runs(read_runs(args.runs), args.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
