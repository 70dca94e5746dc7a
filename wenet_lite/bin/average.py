"""Average the weights of the best or newest checkpoints of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite average`."""
    parser = command.Parser(prog="average", description=__doc__)
    parser.add_argument("--exp-dir", required=True, type=Path, help="run whose checkpoints/ is read")
    parser.add_argument("--num", type=int, default=10, help="checkpoints to average (default: %(default)s)")
    parser.add_argument("--mode", choices=["best", "last"], default="best", help="by dev loss, or newest (%(default)s)")
    parser.add_argument("--output", required=True, type=Path, help="state_dict to write")
    args = parser.parse_args(argv)
    if args.num < 1:
        parser.error("--num must be at least 1")

    from wenet_lite.model.weights import save_atomically
    from wenet_lite.training.average import average_checkpoints, choose_checkpoints

    paths = choose_checkpoints(args.exp_dir / "checkpoints", args.num, args.mode)
    save_atomically(average_checkpoints(paths), args.output)
    _LOG.info("%s: mean of %d checkpoints", args.output, len(paths))
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
