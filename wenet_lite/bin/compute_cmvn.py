"""Sum the features of a Kaldi data directory into `global_cmvn`; under torchrun the ranks share the work."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence

from wenet_lite.bin import command
from wenet_lite.data.audio_source import AudioCommand, AudioFile
from wenet_lite.data.prepare import read_spans
from wenet_lite.errors import DataError

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite compute_cmvn`."""
    parser = command.Parser(prog="compute_cmvn", description=__doc__)
    parser.add_argument("--data-dir", required=True, help="Kaldi data directory; its wav.scp and segments are read")
    parser.add_argument("--config", required=True, help="experiment YAML; its features section is used")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting")
    parser.add_argument("--output", required=True, help="file to write")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: %(default)s)")
    parser.add_argument("--max-bad-fraction", type=float, default=0.01, help="unreadable utterances (%(default)s)")
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands that wav.scp has for audio")
    args = parser.parse_args(argv)
    if args.jobs < 1:
        parser.error("--jobs must be at least 1")

    import torch

    from wenet_lite.distributed import process_group
    from wenet_lite.experiment import read_experiment
    from wenet_lite.features.cmvn import write_cmvn
    from wenet_lite.features.statistics import compute_cmvn

    config = read_experiment(args.config, args.set)
    spans = [(_source(wav, args), start, end) for wav, start, end in read_spans(args.data_dir).values()]
    with process_group(torch.device("cpu")) as world:
        stats, failed = compute_cmvn(spans, config.features, args.jobs, world)
        if not spans:
            raise DataError("has no utterance", path=args.data_dir)
        if world.is_main:
            for reason in failed.values():
                _LOG.warning("left out: %s", reason)
        if len(failed) > args.max_bad_fraction * len(spans):
            example = next(iter(failed.values()))
            raise DataError(f"{len(failed)} of {len(spans)} utterances could not be read; such as {example}")
        if not world.is_main:
            return 0
        write_cmvn(stats, args.output)
        _LOG.info("%s: %d frames of %d utterances, %d left out", args.output, stats.num_frames, len(spans), len(failed))
    return 0


def _source(wav: str, args: argparse.Namespace) -> AudioFile | AudioCommand:
    if not wav.endswith("|"):
        return AudioFile(wav)
    if not args.allow_pipes:
        path = os.path.join(args.data_dir, "wav.scp")
        raise DataError("has a command, which is not run unasked", path=path, cure="--allow-pipes runs it")
    return AudioCommand(wav[:-1].strip())


if __name__ == "__main__":
    raise SystemExit(command.run(main))
