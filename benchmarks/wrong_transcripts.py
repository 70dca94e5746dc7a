"""How many of the transcripts that were exchanged `align` finds: precision of its ranking and of its list."""

from __future__ import annotations

import argparse
import random
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from wenet_lite.data.manifest import read_manifest, write_manifest
from wenet_lite.decoding.transcript_alignment import TranscriptAligner
from wenet_lite.experiment import read_experiment
from wenet_lite.runtime.model_dir import ModelDescription, load_model


def main() -> None:
    """One line a kind of mistake and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp-dir", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", required=True, help="data.list, of which transcripts are right")
    parser.add_argument("--part", type=float, default=0.05, help="of transcripts that are changed (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="draws (%(default)s)")
    args = parser.parse_args()
    config = read_experiment(args.exp_dir / "train.yaml")
    loaded = load_model(ModelDescription(config.features, config.model), args.checkpoint, args.exp_dir)
    aligner = TranscriptAligner(loaded.model, loaded.fbank, loaded.tokenizer, torch.device("cpu"))
    utterances = list(read_manifest(args.data))
    words = sorted({word for utterance in utterances for word in utterance.txt.split()})
    for kind in ("transcripts exchanged", "one word exchanged"):
        for seed in range(args.seeds):
            source = random.Random(seed)
            planted = source.sample(range(len(utterances)), round(args.part * len(utterances)))
            changed = list(utterances)
            for i, other in zip(planted, planted[1:] + planted[:1]):
                text = utterances[other].txt
                if kind == "one word exchanged":
                    spoken = utterances[i].txt.split()
                    place = source.randrange(len(spoken))
                    spoken[place] = source.choice([word for word in words if word != spoken[place]])
                    text = " ".join(spoken)
                changed[i] = replace(utterances[i], txt=text)
            with tempfile.TemporaryDirectory() as folder:
                write_manifest(changed, Path(folder) / "data.list")
                result = aligner(read_manifest(Path(folder) / "data.list"))
            keys = {utterances[i].key for i in planted}
            unaligned = keys & {key for key, _ in result.unaligned}
            sought = len(keys) - len(unaligned)
            first = sum(each.key in keys for each in result.suspicions[:sought])
            hits = sum(each.key in keys for each in result.suspicious)
            print(
                f"{kind}, seed {seed}: {len(keys)} of {len(utterances)} planted, {len(unaligned)} not aligned, "
                f"{first} of the first {sought}, {hits} of {len(result.suspicious)} suspicious"
            )


if __name__ == "__main__":
    main()
