"""Export a trained model to a model directory, checked against the eager model on real audio."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite export`."""
    parser = command.Parser(prog="export", description=__doc__)
    parser.add_argument("--exp-dir", required=True, type=Path, help="run that made the checkpoint")
    parser.add_argument("--checkpoint", required=True, type=Path, help="state_dict, such as avg_10.pt")
    parser.add_argument("--format", choices=["torchscript"], default="torchscript", help="(default: %(default)s)")
    parser.add_argument("--output", required=True, type=Path, help="model directory to make")
    parser.add_argument("--check-data", required=True, type=Path, help="data.list whose first utterances are compared")
    parser.add_argument("--num-check", type=int, default=5, help="utterances to compare (default: %(default)s)")
    args = parser.parse_args(argv)

    from wenet_lite.data.manifest import read_manifest
    from wenet_lite.experiment import read_experiment
    from wenet_lite.runtime.export import export_torchscript
    from wenet_lite.runtime.model_dir import ModelDescription, load_model

    config = read_experiment(args.exp_dir / "train.yaml")
    description = ModelDescription(config.features, config.model)
    loaded = load_model(description, args.checkpoint, args.exp_dir)
    audio = read_manifest(args.check_data)[: args.num_check]
    export_torchscript(loaded, description, args.exp_dir, args.output, audio)
    _LOG.info("%s: model.zip %.1f MB", args.output, (args.output / "model.zip").stat().st_size / 1e6)
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
