"""Export a trained model: to a model directory with checked files for several runtimes, or as WeNet's files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command
from wenet_lite.bin.arguments import add_checkpoint


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite export`."""
    parser = command.Parser(prog="export", description=__doc__)
    add_checkpoint(parser)
    parser.add_argument(
        "--format",
        nargs="+",
        choices=["torchscript", "onnx", "sherpa", "program", "wenet"],
        default=["torchscript"],
        help="what to write beside the weights: torchscript for libtorch and WeNet's runtime, onnx for onnxruntime, "
        "sherpa for sherpa-onnx, program for torch.export; or wenet alone: a directory to go on with in WeNet "
        "(default: torchscript)",
    )
    parser.add_argument("--output", required=True, type=Path, help="model directory to make")
    parser.add_argument("--quantize", action="store_true", help="each also in int8, for a CPU")
    parser.add_argument(
        "--check-data", type=Path, help="data.list whose first utterances are compared; all but wenet need it"
    )
    parser.add_argument("--num-check", type=int, default=5, help="utterances to compare (default: %(default)s)")
    args = parser.parse_args(argv)
    if "wenet" in args.format and (len(args.format) > 1 or args.quantize):
        parser.error("--format wenet makes a directory of its own, in float32")
    if args.format != ["wenet"] and args.check_data is None:
        parser.error("needs --check-data, a data.list to compare the exports with the model on")

    from wenet_lite.data.manifest import read_manifest
    from wenet_lite.experiment import read_experiment
    from wenet_lite.interchange.wenet_export import export_wenet
    from wenet_lite.runtime.export.model_export import export_model
    from wenet_lite.runtime.model_dir import ModelDescription, load_model

    config = read_experiment(args.exp_dir / "train.yaml")
    description = ModelDescription(config.features, config.model)
    loaded = load_model(description, args.checkpoint, args.exp_dir)
    if args.format == ["wenet"]:
        export_wenet(loaded, description, args.exp_dir, args.output)
        return 0
    audio = read_manifest(args.check_data)[: args.num_check]
    export_model(loaded, description, args.exp_dir, args.output, args.format, audio, quantize=args.quantize)
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
