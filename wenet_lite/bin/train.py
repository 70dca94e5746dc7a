"""Train a model, alone or under torchrun; the same command goes on where a killed run stopped."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from wenet_lite.bin import command

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite train`."""
    parser = command.Parser(prog="train", description=__doc__)
    parser.add_argument("--config", required=True, help="experiment YAML")
    parser.add_argument(
        "--train-data", required=True, nargs="+", action="extend", metavar="LIST[:WEIGHT]",
        help="data.list or list of shards to train on, or several; an epoch takes each utterance of a list WEIGHT "
        "times: b.list:2 takes each twice, b.list:0.5 another half of them each epoch",
    )  # fmt: skip
    parser.add_argument("--dev-data", required=True, help="data.list to measure after each epoch")
    parser.add_argument("--lang-dir", required=True, help="BPE model, units and text rules")
    parser.add_argument("--cmvn", required=True, help="global_cmvn of the training data")
    parser.add_argument(
        "--exp-dir", required=True, help="receives train.yaml, checkpoints/, metrics.jsonl, tensorboard/"
    )
    parser.add_argument(
        "--init-from", metavar="CKPT", help="start from these weights; its units.txt beside it matches the vocabularies"
    )
    parser.add_argument("--init-partial", action="store_true", help="accept that --init-from leaves tensors over")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting")
    parser.add_argument(
        "--warm-up-largest",
        action="store_true",
        help="take the largest batches first: memory runs out at once or never",
    )
    parser.add_argument(
        "--allow-config-change",
        action="store_true",
        help="go on although configuration or training data have changed since the last checkpoint",
    )
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands that lists have for audio")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: cuda where there is a GPU")
    args = parser.parse_args(argv)
    if args.init_partial and not args.init_from:
        parser.error("--init-partial goes with --init-from")

    import torch

    from wenet_lite.data.weighted_list import WeightedList
    from wenet_lite.distributed import EXIT_RESUMABLE, World, leave, process_group
    from wenet_lite.experiment import DataPaths, build_recipe, read_experiment, with_defaults, write_experiment
    from wenet_lite.model.asr_model import count_parameters
    from wenet_lite.run_lock import run_lock
    from wenet_lite.training.continuation import load_continuation
    from wenet_lite.training.trainer import Trainer
    from wenet_lite.transfer import choose_device

    settings = [*args.set, *(["batch.warm_up_largest=true"] if args.warm_up_largest else [])]
    config = read_experiment(args.config, settings)
    exp_dir = Path(args.exp_dir)
    paths = DataPaths(
        [WeightedList.parse(argument) for argument in args.train_data],
        args.dev_data, args.lang_dir, args.cmvn, args.allow_pipes,
        _initial_weights(args.init_from, exp_dir) if args.init_from else None, args.init_partial,
    )  # fmt: skip
    device = choose_device(args.device, World.from_environment().local_rank)
    with process_group(device) as world:
        recipe = build_recipe(config, paths, world, device)
        with run_lock(exp_dir, "train") if world.is_main else nullcontext():
            checkpoint = load_continuation(
                exp_dir / "checkpoints", recipe.resolved, recipe.data,
                lang_dir=Path(args.lang_dir), with_defaults=with_defaults, allow_change=args.allow_config_change,
                world=world,
            )  # fmt: skip
            if world.is_main:
                _LOG.info(
                    "%.2f M parameters on %s, %d processes of %d threads",
                    count_parameters(recipe.model) / 1e6, device, world.size, torch.get_num_threads(),
                )  # fmt: skip
            trainer = Trainer(recipe, checkpoint, exp_dir, world, device)
            del checkpoint  # as large as the model and its moments
            if world.is_main:
                write_experiment(config, paths, recipe.model, exp_dir)  # once nothing refuses them any more
            finished = trainer.run()
    status = 0 if finished else EXIT_RESUMABLE
    if not finished and world.is_main:
        _LOG.warning("stopped, everything is saved: the same command goes on (exit status %d)", status)
    return leave(status, world)


def _initial_weights(path: str, exp_dir: Path) -> str | None:
    """What --init-from means: None where the run goes on from a checkpoint of its own."""
    from wenet_lite.distributed import World
    from wenet_lite.errors import CheckpointError
    from wenet_lite.training.checkpoint import list_checkpoints
    from wenet_lite.training.initialization import unit_folders

    if list_checkpoints(exp_dir / "checkpoints"):
        if World.from_environment().is_main:
            _LOG.info("%s has checkpoints and goes on from them: --init-from is not applied again", exp_dir)
        return None
    if exp_dir.resolve() in (folder.resolve() for folder in unit_folders(path)):
        raise CheckpointError("lies in --exp-dir, where its units would be replaced", path=path, cure="train elsewhere")
    return path


if __name__ == "__main__":
    raise SystemExit(command.run(main))
