"""Turn a model directory of WeNet into an experiment directory, for decoding and export."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite import_wenet`."""
    parser = command.Parser(prog="import_wenet", description=__doc__)
    parser.add_argument("source", type=Path, help="holds train.yaml, units.txt, global_cmvn and the weights")
    parser.add_argument("target", type=Path, help="directory to make; serves as --exp-dir, with model.pt in it")
    parser.add_argument("--checkpoint", default="final.pt", help="name of the weights in SOURCE (%(default)s)")
    args = parser.parse_args(argv)

    from wenet_lite.interchange.wenet_import import import_wenet

    count = import_wenet(args.source, args.target, args.checkpoint)
    _LOG.info(
        "%s: %.2f M parameters; recognize --exp-dir %s --checkpoint %s",
        args.target,
        count / 1e6,
        args.target,
        args.target / "model.pt",
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
