"""Time of scoring: 100,000 utterances of some twenty words, alone and with all that can be asked for.

python benchmarks/scoring.py
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

from wenet_lite.data.kaldi import write_table
from wenet_lite.scoring.evaluation import EvaluationOptions, evaluate

NUM_UTTERANCES = 100_000
NUM_SPEAKERS = 200
LONGEST = 40
VOCABULARY = [f"W{i}" for i in range(5000)]


def misheard(words: list[str], draw: random.Random) -> list[str]:
    """Words with 3 % substitutions, 2 % deletions and 1.5 % insertions."""
    heard = []
    for word in words:
        chance = draw.random()
        if chance < 0.03:
            heard.append(draw.choice(VOCABULARY))
        elif chance >= 0.05:
            heard.append(word)
        if chance > 0.985:
            heard.append(draw.choice(VOCABULARY))
    return heard


def write_set(folder: Path) -> None:
    """References, two systems, speakers and hotwords."""
    draw = random.Random(777)
    keys = [f"s{i % NUM_SPEAKERS:03d}-{i:06d}" for i in range(NUM_UTTERANCES)]
    refs = {key: draw.choices(VOCABULARY, k=draw.randint(1, LONGEST)) for key in keys}
    write_table(folder / "ref", {key: " ".join(words) for key, words in refs.items()})
    for name in ("hyp", "other"):
        write_table(folder / name, {key: " ".join(misheard(words, draw)) for key, words in refs.items()})
    write_table(folder / "utt2spk", {key: key[:4] for key in keys})
    (folder / "hotwords").write_text("\n".join(VOCABULARY[:100]) + "\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_set(folder)
        everything = EvaluationOptions(
            utt2spk=folder / "utt2spk", compare=folder / "other", hotwords=folder / "hotwords"
        )
        for told, options in (("alone", EvaluationOptions()), ("compared, by speaker, with hotwords", everything)):
            started = time.process_time()
            evaluation = evaluate(folder / "ref", folder / "hyp", options)
            seconds = time.process_time() - started
            print(f"{told}: {seconds:.1f} s of processor time, WER {evaluation.scores.counts.rate:.2f} %")


if __name__ == "__main__":
    main()
