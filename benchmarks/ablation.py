"""What each part of 3M is worth: the same recipe with one part more at a time, each trained from the beginning.

    python benchmarks/ablation.py [--corpus mini] [--datadir <folder>] [--epochs 8] [--nproc 1] \
        [--average-num 1] [--only ctc attention ...] [--set KEY=VALUE ...] [--without-training]

Stages 0 to 3 of the recipe must be done. Each row is a run of the recipe's stages 4 to 6, `exp/ablation_<name>`, which
goes on where it was stopped; WERs are of its decode, with intervals of a bootstrap over utterances, and so is the
difference to the row above, by greedy search of whole utterances. Updates are timed on one thread here, in turns. CTC
alone has no decoder that could rescore. All rows have SpecAugment, whether the configuration has it or not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))

from measure import alternate, machine_line

from wenet_lite.experiment import ExperimentConfig, build_model, read_experiment
from wenet_lite.model.describe import model_costs
from wenet_lite.scoring.evaluation import EvaluationOptions, evaluate
from wenet_lite.training.cpu import train_through_onednn

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "egs/librispeech"
AUGMENTED = ("training.spec_augment.max_t=50", "training.spec_augment.max_f=10")
"""Of all rows: without it CR-CTC's two views would differ by dropout alone."""
NO_LEVELS = "model.multi_level=null"
REVERSE = ("model.reverse_weight=0.3", "model.decoder.r_num_blocks=1")
CONSISTENT = "model.cr_ctc_weight=0.2"
EXPERTS = (
    "model.encoder.moe.num_experts=4",
    "model.encoder.moe.dropout_rate=0.1",
    "model.encoder.moe.embedding_num_blocks=1",
    "model.encoder.moe.embedding_linear_units=144",
)
PARTS = {
    "ctc": ("CTC only", (NO_LEVELS, "model.ctc_weight=1.0")),
    "attention": ("+ attention", (NO_LEVELS,)),
    "reverse": ("+ reverse", (NO_LEVELS, *REVERSE)),
    "levels": ("+ multi-level", REVERSE),
    "consistent": ("+ CR-CTC", (*REVERSE, CONSISTENT)),
    "experts": ("+ MoE", (*REVERSE, CONSISTENT, *EXPERTS)),
}
"""What is called and set in each row, over a configuration with heads on a middle layer."""
UTTERANCES, FRAMES, TOKENS, VOCAB_SIZE = 3, 1200, 160, 30
"""Of the batch that is timed: 36 s of speech in letters."""
MODES = ("ctc_greedy_search", "attention_rescoring")
COLUMNS = ["training", "parameters", "exported", "ms an update"]
COLUMNS += [f"{mode}, {chunk}: WER %" for mode in ("greedy", "rescoring") for chunk in ("whole", "640 ms")]
COLUMNS += ["against the row above"]


def train(name: str, settings: Sequence[str], args: argparse.Namespace) -> None:
    """Stages 4 to 6 of the recipe."""
    modes = MODES[:1] if name == "ctc" else MODES
    command = [
        "bash", "run.sh", "--corpus", args.corpus, "--exp-name", f"ablation_{name}", "--stage", "4",
        "--stop-stage", "6", "--nproc", str(args.nproc),
        "--average-num", str(args.average_num),
        "--decode-modes", " ".join(modes), "--decode-chunks", "-1 16", "--eval-chunks", "", "--set", " ".join(settings),
    ]  # fmt: skip
    if args.datadir:
        command += ["--datadir", os.fspath(args.datadir.resolve())]
    subprocess.run(command, cwd=RECIPE, check=True, stdout=sys.stderr)


def step(config: ExperimentConfig) -> Callable[[], None]:
    """Losses and their gradients on a batch of noise."""
    model = build_model(config, VOCAB_SIZE).train()
    train_through_onednn(model)
    generator = torch.Generator().manual_seed(0)
    shape = UTTERANCES, FRAMES, config.features.num_mel_bins
    views = torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)
    lens = torch.full((UTTERANCES,), FRAMES)
    tokens = torch.randint(3, VOCAB_SIZE, (UTTERANCES, TOKENS), generator=generator)
    rest = (lens, tokens, torch.full((UTTERANCES,), TOKENS))

    def run() -> None:
        losses = model.consistent_losses(views, *rest) if config.model.cr_ctc_weight else model(views[0], *rest)
        losses.total.sum().backward()
        model.zero_grad()

    return run


def decoded(name: str, test_set: str, mode: str, chunk: str = "") -> Path:
    """The text of a decode."""
    return RECIPE / "exp" / f"ablation_{name}" / f"decode_{test_set}" / f"{mode}{chunk}" / "text"


def error_rates(name: str, test_set: str, above: str | None) -> list[str]:
    """WER of each mode, whole and in chunks of 16, and the difference to the row above, with their intervals.

    A dash stands where there is no such decode.
    """
    reference, rules = RECIPE / "data" / test_set / "text", RECIPE / "exp" / f"ablation_{name}" / "train.yaml"
    cells = []
    for mode in MODES:
        for chunk in ("", "_chunk16_left-1"):
            text = decoded(name, test_set, mode, chunk)
            if not text.exists():
                cells.append("-")
                continue
            found = evaluate(reference, text, EvaluationOptions(rules=rules))
            cells.append(f"{found.scores.counts.rate:.2f} ({found.interval.low:.2f} to {found.interval.high:.2f})")
    text, other = (decoded(each, test_set, MODES[0]) for each in (name, above or name))
    if above is None or not (text.exists() and other.exists()):
        return [*cells, "-"]
    compared = evaluate(reference, text, EvaluationOptions(rules=rules, compare=other)).comparison
    assert compared is not None
    low, high = compared.interval.low, compared.interval.high
    return [*cells, f"{compared.difference:+.2f} ({low:.2f} to {high:.2f})"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="mini", help="of the recipe (default: %(default)s)")
    parser.add_argument("--datadir", type=Path, help="holds LibriSpeech, as run.sh takes it")
    parser.add_argument("--config", type=Path, default=ROOT / "conf/mini.yaml", help="(default: conf/mini.yaml)")
    parser.add_argument("--test-set", default="dev_mini", help="set that WERs are of (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=8, help="of each row (default: %(default)s)")
    parser.add_argument("--nproc", type=int, default=1, help="processes of a training (default: %(default)s)")
    parser.add_argument("--average-num", type=int, default=1, help="checkpoints in their mean (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="some rows instead of all")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of all rows")
    parser.add_argument("--without-training", action="store_true", help="only the table, of the runs that are there")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each step (default: %(default)s)")
    args = parser.parse_args()
    common = [f"training.max_epochs={args.epochs}", *AUGMENTED, *args.set]
    settings = {name: [*common, *PARTS[name][1]] for name in args.only}
    if not args.without_training:
        for name in args.only:
            train(name, settings[name], args)
    torch.set_num_threads(1)
    print(f"{machine_line()}\n\n| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    configs = {name: read_experiment(args.config, settings[name]) for name in args.only}
    times = alternate({name: step(config) for name, config in configs.items()}, args.repeats)
    for above, (name, config) in zip([None, *configs], configs.items()):
        costs = model_costs(build_model(config, VOCAB_SIZE), config.features.num_mel_bins)
        counts = [f"{count / 1e6:.2f} M" for count in (costs.parameters["total"], costs.used_parameters)]
        cells = [*counts, f"{1e3 * times[name]:.0f}"]
        cells += error_rates(name, args.test_set, above)
        print(f"| {PARTS[name][0]} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
