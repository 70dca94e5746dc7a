"""Average the weights of the best or newest checkpoints of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command

_LOG = logging.getLogger(__name__)
_NUM = 10


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite average`."""
    parser = command.Parser(prog="average", description=__doc__)
    parser.add_argument("--exp-dir", required=True, type=Path, help="run whose checkpoints/ is read")
    parser.add_argument("--num", type=int, help=f"checkpoints to average (default: {_NUM})")
    parser.add_argument(
        "--mode", choices=["best", "last", "ema"], default="best",
        help="by dev result, the newest, or the newest one's moving average, alone (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--by", choices=["loss", "wer"], help="dev result of the best (loss)")
    parser.add_argument(
        "--updates", nargs=2, type=int, metavar=("FIRST", "LAST"), help="only checkpoints of these updates"
    )
    parser.add_argument("--output", required=True, type=Path, help="state_dict to write")
    args = parser.parse_args(argv)
    chosen_by = [option for option in ("num", "by", "updates") if getattr(args, option) is not None]
    if args.mode == "ema" and chosen_by:
        parser.error(f"--mode ema takes the newest checkpoint's moving average: leave --{chosen_by[0]} out")
    num = _NUM if args.num is None else args.num
    if num < 1:
        parser.error("--num must be at least 1")

    from wenet_lite.model.weights import save_atomically
    from wenet_lite.training.average import average_checkpoints, choose_checkpoints, moving_average

    folder = args.exp_dir / "checkpoints"
    if args.mode == "ema":
        save_atomically(moving_average(folder), args.output)
        _LOG.info("%s: moving average", args.output)
        return 0
    updates = tuple(args.updates) if args.updates else None
    paths = choose_checkpoints(folder, num, args.mode, args.by or "loss", updates)
    save_atomically(average_checkpoints(paths), args.output)
    _LOG.info("%s: mean of %d checkpoints", args.output, len(paths))
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
