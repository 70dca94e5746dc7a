"""Export a trained model: as TorchScript, checked against the eager model on real audio, or as WeNet's files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command

_LOG = logging.getLogger(__name__)

_WEIGHTS = {"torchscript": "model.zip", "wenet": "final.pt"}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite export`."""
    parser = command.Parser(prog="export", description=__doc__)
    parser.add_argument("--exp-dir", required=True, type=Path, help="run that made the checkpoint")
    parser.add_argument("--checkpoint", required=True, type=Path, help="state_dict, such as avg_10.pt")
    parser.add_argument(
        "--format",
        choices=list(_WEIGHTS),
        default="torchscript",
        help="torchscript: a directory that recognises and streams by itself; wenet: one to go on with in WeNet "
        "(default: %(default)s)",
    )
    parser.add_argument("--output", required=True, type=Path, help="model directory to make")
    parser.add_argument(
        "--check-data", type=Path, help="data.list whose first utterances are compared; torchscript needs it"
    )
    parser.add_argument("--num-check", type=int, default=5, help="utterances to compare (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.format == "torchscript" and args.check_data is None:
        parser.error("--format torchscript needs --check-data, a data.list to compare the export with the model on")

    from wenet_lite.data.manifest import read_manifest
    from wenet_lite.experiment import read_experiment
    from wenet_lite.interchange.wenet_export import export_wenet
    from wenet_lite.runtime.export import export_torchscript
    from wenet_lite.runtime.model_dir import ModelDescription, load_model

    config = read_experiment(args.exp_dir / "train.yaml")
    description = ModelDescription(config.features, config.model)
    loaded = load_model(description, args.checkpoint, args.exp_dir)
    if args.format == "wenet":
        export_wenet(loaded, description, args.exp_dir, args.output)
    else:
        audio = read_manifest(args.check_data)[: args.num_check]
        export_torchscript(loaded, description, args.exp_dir, args.output, audio)
    weights = args.output / _WEIGHTS[args.format]
    _LOG.info("%s: %s %.1f MB", args.output, weights.name, weights.stat().st_size / 1e6)
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
