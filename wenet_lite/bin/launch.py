"""Run a command in several processes of this host under torchrun: launch N MODULE [arguments].

Where the command ends with status 1, it has said in one line what is wrong; torchrun's own report would bury that.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from wenet_lite.bin import command


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite launch`."""
    parser = command.Parser(prog="launch", description=__doc__)
    parser.add_argument("processes", type=int, help="number of processes, one a GPU")
    parser.add_argument("module", help="such as wenet_lite.bin.train")
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(arguments[:2])

    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    # Cores are shared out between the processes; torchrun would warn that it gives each one thread.
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // args.processes, 1)))
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        torchrun(["--standalone", f"--nproc_per_node={args.processes}", "-m", args.module, *arguments[2:]])
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        if failure.exitcode != 1:
            raise
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
