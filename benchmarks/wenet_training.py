"""Train WeNet's own trainer on our lists with the network, batches and augmentation of one of our configurations.

    python benchmarks/wenet_training.py --wenet <checkout> --config conf/mini.yaml --lang-dir <lang> \
        --cmvn <global_cmvn> --train-data <data.list> --dev-data <data.list> --output <folder>
        [--set KEY=VALUE ...] [--epochs 24] [--processes 2] [--checkpoint <output>/epoch_N.pt]

Then WeNet's `average_model.py` averages what lies in the folder, `wenet-lite import_wenet` makes a run of ours of it,
and both are decoded and scored by the same commands. What WeNet does not have is left out: heads on middle layers,
CR-CTC, fewer channels in the front end's convolutions, plain epochs before augmentation, a cosine of the learning rate
(its own is warmuplr). Its limit of 200 tokens an utterance, which would leave out almost half of the utterances in
characters, is raised. It runs on the CPU, and for that and for newer packages is mended in memory: deepspeed is not
imported, files are read by soundfile, speed is changed by torchaudio.functional.speed, since torchaudio has no sox
effects any more. librosa and langid must be there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))

from wenet_checkout import repair_wenet

from wenet_lite.data.manifest import read_manifest
from wenet_lite.experiment import ExperimentConfig, read_experiment
from wenet_lite.interchange.wenet_config import config_to_wenet
from wenet_lite.text.tokenizer import load_tokenizer


def write_raw_list(source: Path, target: Path) -> None:
    """WeNet's raw list of the utterances of ours."""
    with open(target, "w", encoding="utf-8") as stream:
        for utterance in read_manifest(source):
            line = {"key": utterance.key, "wav": utterance.wav, "txt": utterance.txt}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")


def wenet_tree(config: ExperimentConfig, vocab_size: int, lang_dir: Path, cmvn: Path, processes: int) -> dict[str, Any]:
    """WeNet's configuration: the network, and what corresponds of batches, augmentation and optimiser."""
    encoder = replace(config.model.encoder, subsampling_channels=None)
    model = replace(config.model.shipped, encoder=encoder)
    tree = config_to_wenet(config.features, model, vocab_size, None, lang_dir)
    batch, training = config.batch, config.training
    tree["tokenizer_conf"]["symbol_table_path"] = os.fspath((lang_dir / "units.txt").resolve())
    tree["cmvn_conf"]["cmvn_file"] = os.fspath(cmvn.resolve())
    masks = training.spec_augment
    tree["dataset_conf"] |= {
        "filter_conf": {
            "max_length": batch.max_frames_per_utterance,
            "min_length": batch.min_frames,
            "token_max_length": batch.max_frames_per_utterance,
        },
        "speed_perturb": batch.speed_factors != (1.0,),
        "spec_aug": masks is not None,
        "shuffle": True,
        "shuffle_conf": {"shuffle_size": 1500},
        "sort": True,
        "sort_conf": {"sort_size": 500},
        "batch_conf": {"batch_type": "dynamic", "max_frames_in_batch": batch.max_frames},
    }
    if masks is not None:
        names = ("num_t_mask", "num_f_mask", "max_t", "max_f")
        tree["dataset_conf"]["spec_aug_conf"] = {name: getattr(masks, name) for name in names}
    optimizer = training.optimizer
    return tree | {
        "grad_clip": training.grad_clip,
        "accum_grad": max(batch.micro_batches_per_update // processes, 1),
        "max_epoch": training.max_epochs,
        "log_interval": 50,
        "optim": optimizer.type,
        "optim_conf": {"lr": optimizer.lr, "betas": list(optimizer.betas), "weight_decay": optimizer.weight_decay},
        "scheduler": "warmuplr",
        "scheduler_conf": {"warmup_steps": training.schedule.warmup_updates},
    }


def train(checkout: Path, folder: Path, checkpoint: Path | None) -> None:
    """WeNet's trainer, in one of the processes that torch has started."""
    sys.path.insert(0, os.fspath(checkout))
    repair_wenet(checkout)
    for name in ("deepspeed", "deepspeed.runtime", "deepspeed.utils", "deepspeed.runtime.zero"):
        sys.modules[name] = types.ModuleType(name)
    for name, function in (
        ("deepspeed.runtime.zero.stage3", "estimate_zero3_model_states_mem_needs_all_live"),
        ("deepspeed.runtime.zero.stage_1_and_2", "estimate_zero2_model_states_mem_needs_all_live"),
        ("deepspeed.utils.zero_to_fp32", "convert_zero_checkpoint_to_fp32_state_dict"),
    ):
        sys.modules[name] = types.ModuleType(name)
        setattr(sys.modules[name], function, None)
    sys.modules["deepspeed"].add_config_arguments = lambda parser: parser  # type: ignore[attr-defined]
    from wenet.bin.train import main  # type: ignore[import-not-found]

    sys.argv = [
        "train.py", "--device", "cpu", "--ddp.dist_backend", "gloo", "--config", f"{folder}/input/wenet.yaml",
        "--data_type", "raw", "--train_data", f"{folder}/input/train.list", "--cv_data", f"{folder}/input/dev.list",
        "--model_dir", os.fspath(folder), "--tensorboard_dir", f"{folder}/tensorboard", "--num_workers", "1",
        "--prefetch", "10",
        *(["--checkpoint", os.fspath(checkpoint)] if checkpoint else []),
    ]  # fmt: skip
    main()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wenet", type=Path, required=True, help="WeNet checkout")
    parser.add_argument("--config", type=Path, required=True, help="experiment configuration of ours")
    parser.add_argument("--lang-dir", type=Path, required=True, help="with units.txt, of characters")
    parser.add_argument("--cmvn", type=Path, required=True, help="global_cmvn")
    parser.add_argument("--train-data", type=Path, required=True, help="data.list")
    parser.add_argument("--dev-data", type=Path, required=True, help="data.list")
    parser.add_argument("--output", type=Path, required=True, help="folder of the run")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of the configuration")
    parser.add_argument("--epochs", type=int, help="instead of the configuration's")
    parser.add_argument("--processes", type=int, default=2, help="that share each update (default: %(default)s)")
    parser.add_argument(
        "--checkpoint", type=Path, help="epoch_N.pt of the folder, to go on from as WeNet does: weights alone"
    )
    args = parser.parse_args()
    if "RANK" in os.environ:
        train(args.wenet, args.output, args.checkpoint)
        return
    epochs = [] if args.epochs is None else [f"training.max_epochs={args.epochs}"]
    config = read_experiment(args.config, [*args.set, *epochs])
    vocab_size = load_tokenizer(args.lang_dir).vocab_size
    inputs = args.output / "input"  # not beside WeNet's own files, all of which its average_model.py reads
    inputs.mkdir(parents=True, exist_ok=True)
    tree = wenet_tree(config, vocab_size, args.lang_dir, args.cmvn, args.processes)
    (inputs / "wenet.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    write_raw_list(args.train_data, inputs / "train.list")
    write_raw_list(args.dev_data, inputs / "dev.list")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={args.processes}"]
    os.execv(sys.executable, [*launcher, *sys.argv])


if __name__ == "__main__":
    main()
