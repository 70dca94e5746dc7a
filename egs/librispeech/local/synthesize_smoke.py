"""Make the smoke corpus: small-vocabulary English from eSpeak NG, in LibriSpeech's layout.

Voices and sentences of the dev and test parts do not occur in training. The same seed gives the same
bytes, whatever the number of processes.
"""

from __future__ import annotations

import io
import math
import multiprocessing
import os
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import smoke_grammar
import soundfile
import soxr
from espeak import Espeak, Prosody
from tqdm import tqdm

from wenet_lite.bin import command
from wenet_lite.errors import ConfigError, DataError

SAMPLE_RATE = 16000
ACCENTS = ("gmw/en-US", "gmw/en", "gmw/en-GB-x-rp")
UTTERANCES_PER_CHAPTER = 30
MEAN_SECONDS = 4.0
"""Length of an utterance on average; turns hours into a number of utterances."""

# Variants that sound like people. Near-twins stand on one side: none of the dev and test variants has one in training.
# (Reed is in no part: benjamin is its near-twin and david is close to it.)
VOICES: dict[str, tuple[str, ...]] = {
    "smoke-train": (
        *("f1", "f2", "f3", "f4", "f5", "steph", "steph2", "steph3", "Andrea", "anika", "shelby"),
        *("m1", "m3", "m4", "m7", "m8", "Alex", "Andy", "Denis", "Gene", "Gene2", "Hugo", "Jacky", "Mario"),
        *("antonio", "boris", "ed", "gustave", "iven", "iven2", "iven3", "john", "marcelo", "max", "michel"),
        *("miguel", "pedro", "rob", "travis"),
    ),
    "smoke-dev": ("belinda", "benjamin", "ian", "pablo", "edward", "announcer"),
    "smoke-test": ("Annie", "aunty", "linda", "m2", "paul", "quincy", "norbert", "david"),
}
FEMALE = {
    *("f1", "f2", "f3", "f4", "f5", "steph", "steph2", "steph3", "linda", "belinda"),
    *("shelby", "anika", "Annie", "Andrea", "aunty"),
}
HOURS = {"smoke-train": 3.2, "smoke-dev": 0.145, "smoke-test": 0.242}


@dataclass(frozen=True)
class Speaker:
    """One synthetic reader.

    Attributes:
        number: LibriSpeech-style reader id.
        part: part of the corpus.
        accent, variant: eSpeak NG's voice.
        seed: of its prosody and noise.
        sentences: what it reads.
    """

    number: int
    part: str
    accent: str
    variant: str
    seed: str
    sentences: tuple[str, ...]

    @property
    def gender(self) -> str:
        """F or M, as eSpeak NG's variants have it."""
        return "F" if self.variant in FEMALE else "M"


def cast(hours: dict[str, float], seed: int) -> list[Speaker]:
    """Give every voice of every part its sentences; none of dev and test is in training."""
    speakers: list[Speaker] = []
    taken: set[str] = set()
    for part in ("smoke-test", "smoke-dev", "smoke-train"):
        voices = [(accent, variant) for variant in VOICES[part] for accent in ACCENTS]
        source = random.Random(f"{seed}/{part}")
        total = max(round(hours[part] * 3600 / MEAN_SECONDS), len(voices))
        shares = [total // len(voices) + (i < total % len(voices)) for i in range(len(voices))]
        own: set[str] = set()
        for (accent, variant), share in zip(voices, shares):
            sentences = tuple(_fresh_sentence(source, taken) for _ in range(share))
            own.update(sentences)
            number = 1001 + len(speakers)
            speakers.append(Speaker(number, part, accent, variant, f"{seed}/{part}/{accent}/{variant}", sentences))
        taken |= own
    return speakers


def _fresh_sentence(source: random.Random, taken: set[str]) -> str:
    while (sentence := smoke_grammar.sentence(source)) in taken:
        pass
    return sentence


def read_aloud(speaker: Speaker, folder: Path) -> float:
    """Synthesise all sentences of a speaker into chapter folders; returns seconds of audio."""
    espeak = Espeak()
    source = random.Random(speaker.seed)
    noise = np.random.default_rng(list(speaker.seed.encode()))
    base_pitch, base_rate = source.randint(30, 75), source.randint(150, 190)
    seconds = 0.0
    for first in range(0, len(speaker.sentences), UTTERANCES_PER_CHAPTER):
        chapter = 1 + first // UTTERANCES_PER_CHAPTER
        prefix = f"{speaker.number}-{chapter}"
        target = folder / str(speaker.number) / str(chapter)
        target.mkdir(parents=True)
        lines = []
        for i, sentence in enumerate(speaker.sentences[first : first + UTTERANCES_PER_CHAPTER]):
            rate, pitch = base_rate + source.randint(-15, 15), base_pitch + source.randint(-8, 8)
            prosody = Prosody(rate, pitch, source.randint(35, 70))
            spoken = espeak.speak(sentence.lower(), f"{speaker.accent}+{speaker.variant}", prosody)
            samples = _record(spoken, espeak.sample_rate, noise)
            (target / f"{prefix}-{i:04d}.flac").write_bytes(_flac(samples))
            lines.append(f"{prefix}-{i:04d} {sentence}\n")
            seconds += len(samples) / SAMPLE_RATE
        (target / f"{prefix}.trans.txt").write_text("".join(lines), encoding="utf-8")
    return seconds


def _record(spoken: np.ndarray, rate: int, noise: np.random.Generator) -> np.ndarray:
    """A take: trimmed, at 16 kHz, with a drawn level, pauses around it and noise 20 to 60 dB below.

    One pause in three is long: a model that has never heard silence hears words in it.
    """
    loud = np.flatnonzero(np.abs(spoken) > 100)
    speech = soxr.resample(spoken[loud[0] : loud[-1] + 1].astype(np.float32), rate, SAMPLE_RATE)
    speech *= noise.uniform(0.25, 0.7) / np.abs(speech).max()
    longest = [2.0 if noise.random() < 1 / 3 else 0.3 for _ in range(2)]
    before, after = (int(noise.uniform(0.1, seconds) * SAMPLE_RATE) for seconds in longest)
    padded = np.pad(speech, (before, after))
    hiss = noise.standard_normal(len(padded)).astype(np.float32)
    level = np.sqrt(np.mean(speech**2)) * 10 ** (-noise.uniform(20, 60) / 20)
    return np.clip(padded + level * hiss, -1.0, 1.0)


def _flac(samples: np.ndarray) -> bytes:
    # encoded in memory: libsndfile's own writing hides why it failed, as on a full disk
    encoded = io.BytesIO()
    soundfile.write(encoded, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return encoded.getvalue()


def synthesise(output_dir: Path, hours: dict[str, float], seed: int, jobs: int) -> None:
    """Make the parts that are not there yet, each under a temporary name first.

    Raises:
        EspeakError: if the synthesiser is missing.
        DataError: if a part cannot be written.
    """
    root = output_dir / "LibriSpeech"
    root.mkdir(parents=True, exist_ok=True)
    speakers = cast(hours, seed)
    for part in hours:
        if (root / part).is_dir():
            print(f"synthesize_smoke: {root / part} is there already")
            continue
        temporary = root / f"{part}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            _record_part([speaker for speaker in speakers if speaker.part == part], temporary, jobs)
            temporary.rename(root / part)
        except OSError as error:
            raise DataError(
                f"cannot be written: {error.strerror}", path=root / part, cure="free space or choose another folder"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    _write_speakers(root / "SPEAKERS.TXT", speakers)


def _record_part(speakers: list[Speaker], folder: Path, jobs: int) -> None:
    seconds = 0.0
    work = [(speaker, folder) for speaker in speakers]
    # A fresh process for each speaker: the synthesiser's state never passes from one to the next.
    with multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=1) as pool:
        results = pool.imap(_read_aloud, work, chunksize=1)
        for duration in tqdm(results, total=len(work), desc=speakers[0].part, unit="speaker", disable=None):
            seconds += duration
    count = sum(len(speaker.sentences) for speaker in speakers)
    print(f"synthesize_smoke: {speakers[0].part}: {len(work)} speakers, {count} utterances, {seconds / 3600:.2f} h")


def _read_aloud(work: tuple[Speaker, Path]) -> float:
    return read_aloud(*work)


def _write_speakers(path: Path, speakers: list[Speaker]) -> None:
    lines = [";ID  |SEX| SUBSET           |MINUTES| NAME\n"]
    for s in speakers:
        minutes = len(s.sentences) * MEAN_SECONDS / 60
        lines.append(
            f"{s.number:<5}| {s.gender} | {s.part:<17}| {minutes:5.2f} | {s.accent.removeprefix('gmw/')} {s.variant}\n"
        )
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text("".join(lines), encoding="utf-8")
    temporary.replace(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = command.Parser(prog="synthesize_smoke", description=__doc__)
    parser.add_argument("--output-dir", type=Path, required=True, help="receives LibriSpeech/smoke-{train,dev,test}")
    parser.add_argument("--hours", type=float, default=HOURS["smoke-train"], help="of training audio (%(default)s)")
    parser.add_argument("--seed", type=int, default=777, help="of sentences, prosody and noise (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.jobs < 1:
        raise ConfigError(f"--jobs {args.jobs}: at least one process is needed")
    if not (math.isfinite(args.hours) and args.hours > 0):
        raise ConfigError(f"--hours {args.hours}: a number above 0 is needed")
    scale = min(args.hours / HOURS["smoke-train"], 1.0)
    hours = {part: args.hours if part == "smoke-train" else value * scale for part, value in HOURS.items()}
    synthesise(args.output_dir, hours, args.seed, args.jobs)
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))
