"""Sum the features of a Kaldi data directory into `global_cmvn`."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from wenet_lite.bin import command
from wenet_lite.data.kaldi import read_table
from wenet_lite.errors import DataError

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite compute_cmvn`."""
    parser = command.Parser(prog="compute_cmvn", description=__doc__)
    parser.add_argument("--data-dir", required=True, help="Kaldi data directory; its wav.scp is read")
    parser.add_argument("--config", required=True, help="experiment YAML; its features section is used")
    parser.add_argument("--output", required=True, help="file to write")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: %(default)s)")
    parser.add_argument("--max-bad-fraction", type=float, default=0.01, help="unreadable files allowed (%(default)s)")
    args = parser.parse_args(argv)

    from wenet_lite.experiment import read_experiment
    from wenet_lite.features.cmvn import write_cmvn
    from wenet_lite.features.statistics import compute_cmvn

    config = read_experiment(args.config)
    paths = list(read_table(os.path.join(args.data_dir, "wav.scp")).values())
    stats, failed = compute_cmvn(paths, config.features, args.jobs)
    for reason in failed.values():
        _LOG.warning("left out: %s", reason)
    if len(failed) > args.max_bad_fraction * len(paths):
        raise DataError(
            f"{len(failed)} of {len(paths)} recordings could not be read; such as {next(iter(failed.values()))}"
        )
    write_cmvn(stats, args.output)
    _LOG.info("%s: %d frames of %d recordings, %d left out", args.output, stats.num_frames, len(paths), len(failed))
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
