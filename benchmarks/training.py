"""Speed of the training loop: against a bare loop, with checkpoints, by its parts, and on a GPU.

    python benchmarks/training.py [--data-list <data.list>] [--only overhead] [--repeats 5]
    python benchmarks/training.py --device cuda --peak-tflops 67 495 989

The trainer is the one that `wenet-lite train` runs, without a dev set; it learns noise, unless there is a list of
speech for the shares of its parts. What is compared takes turns; figures are medians over the turns.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))

from measure import Row, machine_line, print_rows
from training_device import measure_device
from training_overhead import measure_checkpoints, measure_overhead
from training_shares import print_shares
from training_workload import lengths_like_speech, noise_corpus

ROWS: dict[str, Callable[[int], Iterable[Row]]] = {
    "overhead": measure_overhead,
    "checkpoints": measure_checkpoints,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-list", type=Path, help="speech in English capitals for the shares (default: noise)")
    parser.add_argument("--only", choices=(*ROWS, "shares"), help="one figure instead of all")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each candidate (default: %(default)s)")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="measure u2pp_conformer on it, and nothing else")
    parser.add_argument(
        "--peak-tflops", type=float, nargs=3, metavar=("FLOAT32", "TF32", "BFLOAT16"), help="of the device, dense"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="with --device: a setting")
    args = parser.parse_args()
    print(machine_line())
    if args.device:
        return 0 if print_rows(measure_device(args.device, args.set, args.peak_tflops, args.repeats)) else 1
    good = True
    for name in [args.only] if args.only else ROWS:
        if name in ROWS:
            good = print_rows(ROWS[name](args.repeats)) and good
    if args.only in (None, "shares"):
        with tempfile.TemporaryDirectory() as folder:
            noise = Path(folder) / "data.list"
            if args.data_list is None:
                noise_corpus(noise.parent, lengths_like_speech(1.0, 10.0))
            print_shares(args.data_list or noise, args.repeats)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
