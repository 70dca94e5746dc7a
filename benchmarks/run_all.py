"""Every benchmark whose goals can be checked, one after the other, in one table of what was seen and what was reached.

    python benchmarks/run_all.py [--wenet <WeNet checkout>] [--corpus <folder>] [--model <model directory>]
        [--exp-dir <run> --checkpoint <weights>] [--data <data.list>] [--lm-text <Kaldi's text>]
        [--only model runtime ...] [--soak-minutes 10] [--output table.md]

A benchmark that lacks an input or a package is named with what it lacks. Each has a process of its own, in which it
takes turns with its peers. All of them take more than an hour on two cores that have nothing else to do; the exit
status is 1 if a row misses its goal or a benchmark fails.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import TABLE_HEAD

HERE = Path(__file__).resolve().parent
PACKAGES = ("torch", "torchaudio", "numpy", "numba", "onnxruntime", "sherpa-onnx", "librosa")


@dataclass(frozen=True)
class Benchmark:
    """Attributes:
    name: as `--only` calls it.
    script: in this folder.
    needs: options without which it cannot run.
    takes: options that add rows, each by itself.
    takes_together: options that add rows where all of them are given.
    arguments: besides.
    package: without which it cannot run.
    """

    name: str
    script: str
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    takes_together: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    package: str = ""

    def missing(self, given: dict[str, Path]) -> str:
        """What it lacks, or nothing."""
        for option in self.needs:
            if option not in given:
                return option_name(option)
        return self.package if self.package and importlib.util.find_spec(self.package) is None else ""

    def command(self, given: dict[str, Path]) -> list[str]:
        """How it is called."""
        command = [sys.executable, os.fspath(HERE / self.script)]
        together = self.takes_together if given.keys() >= set(self.takes_together) else ()
        for option in (*self.needs, *self.takes, *together):
            if option in given:
                command += [option_name(option), os.fspath(given[option])]
        return [*command, *self.arguments]


def option_name(name: str) -> str:
    return f"--{name.replace('_', '-')}"


RUN = ("exp_dir", "checkpoint", "lm_text")
TRAINED = (*RUN, "data")
BENCHMARKS = (
    Benchmark("data", "data_pipeline.py", ("corpus",), ("wenet",)),
    Benchmark("model", "model.py", (), ("wenet",)),
    Benchmark("overhead", "training.py", arguments=("--only", "overhead")),
    Benchmark("checkpoints", "training.py", arguments=("--only", "checkpoints")),
    Benchmark("searches", "decoding.py", ("wenet",), takes_together=TRAINED),
    Benchmark("streaming", "runtime.py", (), ("wenet",), arguments=("--only", "streaming")),
    Benchmark("start", "runtime.py", ("model",), arguments=("--only", "start")),
    Benchmark("load", "runtime.py", ("model",), arguments=("--only", "load")),
    Benchmark("load_int8", "runtime.py", ("model",), arguments=("--only", "load", "--dtype", "int8")),
    Benchmark("peer_streams", "peers.py", ("model", "data"), arguments=("--only", "streams"), package="sherpa_onnx"),
    Benchmark("peer_alignment", "peers.py", arguments=("--only", "alignment"), package="torchaudio"),
    Benchmark("int8", "accuracy.py", ("model", "data"), arguments=("--only", "precision")),
    Benchmark("soak", "runtime_server.py", ("model", "data")),
)


def is_row(line: str) -> bool:
    return line.startswith("| ") and line not in TABLE_HEAD


def run(benchmark: Benchmark, given: dict[str, Path], more: Sequence[str]) -> tuple[list[str], int, str]:
    """Rows, exit status, and the command with the load before it and the minutes that it took."""
    command, load, began = [*benchmark.command(given), *more], os.getloadavg()[0], time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    minutes = (time.monotonic() - began) / 60
    shown = " ".join(["python", f"benchmarks/{benchmark.script}", *command[2:]])
    rows = [line for line in done.stdout.splitlines() if is_row(line)]
    return rows, done.returncode, f"`{shown}` (load before it {load:.1f}, {minutes:.1f} min)"


def heading(given: dict[str, Path]) -> str:
    """Commits, versions and machine."""
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {package}")
    lines = [
        f"* machine: {processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        f"* versions: wenet_lite {commit_of(HERE.parent)}, {', '.join(versions)}",
    ]
    if "wenet" in given:
        lines.append(f"* WeNet: {commit_of(given['wenet'])}")
    return "\n".join(lines)


def processor() -> str:
    """Its name as Linux knows it."""
    try:
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    except OSError:
        names = []
    return names[0].partition(": ")[2] if names else platform.processor() or platform.machine()


def commit_of(checkout: Path) -> str:
    """The commit that is checked out, and whether files differ from it."""
    done = subprocess.run(
        ["git", "-C", os.fspath(checkout), "describe", "--always", "--dirty"], capture_output=True, text=True
    )
    return done.stdout.strip() or "without git"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wenet", type=Path, help="WeNet checkout to measure against")
    parser.add_argument("--corpus", type=Path, help="folder with audio files, at any depth")
    parser.add_argument("--model", type=Path, help="model directory, exported with onnx and sherpa, in int8 too")
    parser.add_argument("--exp-dir", type=Path, help="run of a trained model")
    parser.add_argument("--checkpoint", type=Path, help="its weights")
    parser.add_argument("--data", type=Path, help="data.list of utterances for the model")
    parser.add_argument("--lm-text", type=Path, help="transcripts with ids, for language model and hotwords")
    parser.add_argument("--only", nargs="+", choices=[each.name for each in BENCHMARKS], help="some instead of all")
    parser.add_argument("--soak-minutes", type=float, default=10, help="of the server's crowd (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="file for the table, besides standard output")
    args = parser.parse_args()
    options = ("wenet", "corpus", "model", "exp_dir", "checkpoint", "data", "lm_text")
    given = {name: path for name in options if (path := getattr(args, name)) is not None}
    if not given.keys().isdisjoint(RUN) and (missing := [name for name in TRAINED if name not in given]):
        parser.error(f"a trained run needs {option_name(missing[0])} too")
    lines, good = [heading(given), "", TABLE_HEAD], True
    print("\n".join(lines), flush=True)
    notes = []
    for benchmark in BENCHMARKS:
        if args.only and benchmark.name not in args.only:
            continue
        if lacking := benchmark.missing(given):
            notes.append(f"* {benchmark.name}: not run, for want of {lacking}")
            continue
        more = ["--minutes", str(args.soak_minutes)] if benchmark.name == "soak" else []
        rows, status, note = run(benchmark, given, more)
        print("\n".join(rows), flush=True)
        lines += rows
        failed = status != 0 and not any(row.endswith("| NO |") for row in rows)
        notes.append(f"* {benchmark.name}: {note}" + (f": FAILED with exit status {status}" if failed else ""))
        good = good and status == 0
    lines += ["", *notes]
    print("\n".join(["", *notes]))
    if args.output:
        args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
