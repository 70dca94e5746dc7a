"""Run a command in several processes, one a GPU, on this host or on each of several: torchrun, told in one line.

On several hosts the same command is given on each, with the same --rdzv-endpoint. Where --max-restarts allows it, the
processes are started again after one of them or a host is lost, and go on from the last checkpoint.

Exit status: 0; 1 where the command said in one line what is wrong; 75 where a signal to launch or to the command has
stopped the run, which goes on by the same command. Where restarts are allowed, a signal to the command alone counts as
the loss of its processes.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from wenet_lite.bin import command
from wenet_lite.distributed import EXIT_RESUMABLE, TIMEOUT_VARIABLE
from wenet_lite.errors import DistributedError

_REGROUPING_S = 60


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite launch`."""
    args = _parse(argv)
    os.environ[TIMEOUT_VARIABLE] = str(args.timeout)
    # Cores are shared out between the processes; torchrun would warn that it gives each one thread.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(len(os.sched_getaffinity(0)) // args.processes, 1)))
    return _run(_torchrun_arguments(args), args.grace_period)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command.Parser(prog="launch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--nnodes", type=_nnodes, default="1", help="number of hosts, or fewest:most (default: %(default)s)"
    )
    parser.add_argument("--rdzv-endpoint", metavar="HOST:PORT", help="where the hosts meet: a port of one of them")
    parser.add_argument("--rdzv-id", default="wenet_lite", metavar="ID", help="the run's name, the same on all hosts")
    parser.add_argument(
        "--local-addr",
        metavar="ADDRESS",
        help="of this host, where others do not know its name; as in --rdzv-endpoint, if it is that one",
    )
    parser.add_argument(
        "--max-restarts", type=int, default=0, metavar="N", help="after lost processes or hosts (default: %(default)s)"
    )
    parser.add_argument(
        "--timeout", type=int, default=os.environ.get(TIMEOUT_VARIABLE, "600"), metavar="SECONDS",
        help="to wait for other processes (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--grace-period", type=int, default=60, metavar="SECONDS",
        help="for a process to end after a signal, before it is killed (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("processes", type=int, help="number of processes on this host, one a GPU")
    parser.add_argument("module", help="such as wenet_lite.bin.train")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the module")
    args = parser.parse_args(argv)
    if args.nnodes != "1" and not args.rdzv_endpoint:
        parser.error("--nnodes needs --rdzv-endpoint")
    if args.rdzv_endpoint and not args.rdzv_endpoint.rpartition(":")[2].isdecimal():
        parser.error("--rdzv-endpoint is HOST:PORT, such as node1:29400")
    if min(args.processes, args.timeout, args.grace_period, args.max_restarts + 1) < 1:
        parser.error("processes, --timeout and --grace-period are at least 1, --max-restarts is at least 0")
    return args


def _nnodes(text: str) -> str:
    fewest, _, most = text.partition(":")
    most = most or fewest
    if not (fewest.isdecimal() and most.isdecimal() and 1 <= int(fewest) <= int(most)):
        raise argparse.ArgumentTypeError(f"{text} is not a number of hosts, or fewest:most")
    return text


def _torchrun_arguments(args: argparse.Namespace) -> list[str]:
    where = ["--standalone"]
    if args.rdzv_endpoint:
        # One host may notice a loss a time-out later than another, and torchrun takes 45 s to do without the lost one.
        timeouts = f"join_timeout={args.timeout + _REGROUPING_S},read_timeout={args.timeout}"
        where = ["--rdzv-backend=c10d", f"--nnodes={args.nnodes}", f"--rdzv-endpoint={args.rdzv_endpoint}"]
        where += [f"--rdzv-id={args.rdzv_id}"]
        if args.local_addr:
            where += [f"--local-addr={args.local_addr}"]
            # torchrun looks for the endpoint's address behind this host's name alone.
            timeouts += f",is_host={int(args.local_addr == args.rdzv_endpoint.rpartition(':')[0])}"
        where += [f"--rdzv-conf={timeouts}"]
    # Restarted processes would look for each other at the addresses of those that are lost.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    processes = [f"--nproc-per-node={args.processes}", f"--max-restarts={args.max_restarts}"]
    return [*where, *processes, "-m", args.module, *args.arguments]


def _run(arguments: list[str], grace_period: int) -> int:
    """Run torchrun in this process; its reports would bury the one line of a command that fails."""
    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing import PContext, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.run import main as torchrun

    def stop(number: int, _: FrameType | None) -> None:
        raise SignalException("stopped before torchrun handles signals", signal.Signals(number))

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    # torchrun passes signals on and kills after 30 s: a checkpoint may take longer.
    PContext.close = functools.partialmethod(PContext.close, timeout=grace_period)  # type: ignore[method-assign,assignment]
    try:
        torchrun(arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        if failure.exitcode not in (1, EXIT_RESUMABLE):
            raise
        return failure.exitcode
    except SignalException as error:
        print(f"launch: stopped by {error.sigval.name}", file=sys.stderr)
        return EXIT_RESUMABLE
    except (RendezvousError, DistError) as error:
        reason = str(error.__cause__ or error).partition("\n")[0] or "not enough of them in time"
        raise DistributedError(
            f"cannot meet the other hosts, or lost them: {reason}",
            cure="is the host of --rdzv-endpoint up, its port open, and has each host the same command?",
        ) from error
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
