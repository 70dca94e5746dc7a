"""`wenet-lite <command>`: runs the command of that name."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

from wenet_lite.bin import command

COMMANDS = {
    "import_data": "make a data directory of a CSV table, an audio folder or lhotse manifests",
    "describe_data": "tell what data directories and lists hold",
    "compute_cmvn": "sum the features of a data directory into global_cmvn",
    "train_bpe": "train a sentencepiece model and write a lang directory",
    "train_lm": "estimate an n-gram language model of text",
    "make_list": "turn a data directory into data.list, or index a list",
    "make_shards": "pack a data directory into tar shards",
    "train": "train a model, alone or under torchrun",
    "launch": "run a command in several processes, one a GPU, on one host or several",
    "plot_training": "draw runs: losses, WER, learning rate, speed and use of experts",
    "average": "average the weights of checkpoints",
    "recognize": "decode a list in one or more modes",
    "tune_lm": "weights of a language model, found on a dev set",
    "rescore_nbest": "reorder n-best lists by a language model",
    "evaluate_chunks": "word error rate, latency and flicker by chunk and history",
    "align": "word times of known transcripts, and which transcripts do not fit their audio",
    "calibrate": "turn confidences of recognised words into probabilities, by a dev set",
    "score": "word error rate, as Kaldi's compute-wer prints it",
    "report": "table of a run's results",
    "export": "write a model directory for several runtimes, or one of WeNet",
    "import_wenet": "turn a model directory of WeNet into an experiment directory",
    "transcribe": "recognise files, folders, the microphone or a pipe with an exported model",
    "serve": "recognise streams and files over the network",
    "describe": "parameters, operations and latency of a configuration's model",
    "doctor": "versions and checks for a bug report",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `argv[0]` with the rest of the arguments."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: wenet-lite <command> [options]; each command explains itself with --help\n")
        for name, purpose in COMMANDS.items():
            print(f"  {name:<15} {purpose}")
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        nearest = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.0)[0]
        print(f"wenet-lite: unknown command '{name}'; did you mean '{nearest}'?", file=sys.stderr)
        return 1
    return command.run(importlib.import_module(f"wenet_lite.bin.{name}").main, arguments[1:])


def entry() -> None:
    """Console script."""
    raise SystemExit(main())


if __name__ == "__main__":
    entry()
