"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wenet_lite.runtime.recognizer import Recognizer


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """A model as training leaves it: --exp-dir, --checkpoint."""
    parser.add_argument("--exp-dir", required=True, type=Path, help="run that made the checkpoint")
    parser.add_argument("--checkpoint", required=True, type=Path, help="state_dict, such as avg_10.pt")


def add_list(parser: argparse.ArgumentParser, purpose: str) -> None:
    """A list that a model hears, and where: --data, --allow-pipes, --device.

    Args:
        parser: takes them.
        purpose: of the list.
    """
    parser.add_argument("--data", required=True, type=Path, help=purpose)
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands that the list has for audio")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: cuda where there is a GPU")


def add_model(parser: argparse.ArgumentParser) -> None:
    """A model as it ships, and how it runs: the directory, --lm, --backend, --device, --dtype."""
    parser.add_argument("model", help="model directory, as export wrote it")
    parser.add_argument("--lm", action="store_true", help="with the language model that stage 8 put into the directory")
    parser.add_argument(
        "--backend", choices=["pytorch", "torchscript", "onnx"], default="pytorch", help="what runs (%(default)s)"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where (%(default)s)")
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16", "float16", "int8"],
        default="float32",
        help="of the products of matrices (%(default)s)",
    )


def load_recognizer(args: argparse.Namespace) -> Recognizer:
    """What the arguments of `add_model` name."""
    from wenet_lite.runtime.recognizer import Recognizer

    return Recognizer(args.model, lm=args.lm, backend=args.backend, device=args.device, dtype=args.dtype)
