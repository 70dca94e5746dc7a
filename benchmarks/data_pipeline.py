"""Speed and memory of everything from audio files to a batch of features, against its bare parts and against peers.

    python benchmarks/data_pipeline.py --corpus <folder with LibriSpeech's layout> [--wenet <WeNet checkout>]

Candidates take turns in one process; figures are medians over the rounds, and ratios of medians. WeNet's own pipeline
needs `librosa` and `langid`, and is repaired in two places for torchaudio 2.9 and later: files are read by soundfile,
speed is changed by torchaudio.functional.speed.
"""

from __future__ import annotations

import argparse
import functools
import gc
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))

from measure import Row, alternate, machine_line, print_rows, seconds_and_bytes
from wenet_checkout import repair_wenet

from wenet_lite.data.audio_source import SUFFIXES
from wenet_lite.data.batch_plan import BatchConfig, BatchPlan
from wenet_lite.data.dataset import SpeechDataset
from wenet_lite.data.manifest import Manifest, read_manifest, write_manifest
from wenet_lite.data.utterance import Utterance
from wenet_lite.features.fbank import Fbank, FbankConfig

SAMPLE_RATE = 16000


def list_of(files: list[Path], path: Path) -> Manifest:
    """A manifest of audio files."""
    utterances: list[Utterance] = []
    for file in files:
        info = soundfile.info(os.fspath(file))
        key = f"{file.stem}-{len(utterances)}"
        seconds = info.frames / info.samplerate
        utterances.append(Utterance(key, os.fspath(file), "A", seconds, info.frames, info.samplerate))
    write_manifest(utterances, path)
    return read_manifest(path)


def plan_of(manifest: Manifest, speeds: tuple[float, ...]) -> BatchPlan:
    frames = np.maximum(0, 1 + (manifest.num_samples.astype(np.int64) - 400) // 160)
    config = BatchConfig(max_frames=12000, max_frames_per_utterance=6000, speed_factors=speeds)
    return BatchPlan(frames, np.zeros_like(frames), config, seed=0)


def bare(manifest: Manifest, fbank: Fbank) -> None:
    """soundfile.read and the filterbank, one file after the other."""
    for utterance in manifest:
        samples, _ = soundfile.read(utterance.wav, dtype="float32")
        fbank(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))


def loader(manifest: Manifest, plan: BatchPlan, fbank: Fbank, epoch: int = 0) -> None:
    """Our loader with one worker, and the front end in this process."""
    dataset = SpeechDataset(manifest, lambda text: [3], SAMPLE_RATE)
    for batch in dataset.load(plan.epoch(epoch).of_rank(0, 1), num_workers=1):
        assert not batch.failed
        fbank(batch.waveforms, batch.num_samples)


def wenet_loader(list_path: Path, speed_perturb: bool) -> None:
    """WeNet's pipeline in one worker."""
    from wenet.dataset.dataset import Dataset

    conf = {
        "filter_conf": {"max_length": 40960, "min_length": 0, "token_max_length": 400, "min_output_input_ratio": 0},
        "resample_conf": {"resample_rate": SAMPLE_RATE},
        "speed_perturb": speed_perturb,
        "fbank_conf": {"num_mel_bins": 80, "frame_shift": 10, "frame_length": 25, "dither": 0.0},
        "spec_aug": False,
        "shuffle_conf": {"shuffle_size": 1500},
        "sort_conf": {"sort_size": 500},
        "batch_conf": {"batch_type": "dynamic", "max_frames_in_batch": 12000},
    }  # fmt: skip
    dataset = Dataset("raw", os.fspath(list_path), _OneLetter(), conf)
    batches = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=1, prefetch_factor=4)
    assert sum(len(batch["keys"]) for batch in batches) > 0


class _OneLetter:
    """The least tokenizer that WeNet's pipeline takes."""

    def tokenize(self, line: str) -> tuple[list[str], list[int]]:
        return ["A"], [3]


def measure_loaders(own: Manifest, wav: Manifest, wenet: Path | None, rounds: int) -> list[Row]:
    fbank = Fbank(FbankConfig()).eval()
    seconds = own.seconds.sum()
    rows = []
    for name, manifest in (("the corpus's own files", own), ("wav", wav)):
        plan = plan_of(manifest, (1.0,))
        candidates = {
            "bare": functools.partial(bare, manifest, fbank),
            "loader": functools.partial(loader, manifest, plan, fbank),
        }
        times = alternate(candidates, rounds)
        ratio = times["bare"] / times["loader"]
        seen = f"{ratio:.2f}x ({seconds / times['loader']:.0f} against {seconds / times['bare']:.0f} times real time)"
        rows.append(Row(f"loader against bare soundfile.read and fbank, {name}", "0.70x", seen, ratio >= 0.7))
    if wenet is None:
        return rows
    repair_wenet(wenet)
    for name, speeds in (("", (1.0,)), (", speed perturbation", (0.9, 1.0, 1.1))):
        plan = plan_of(wav, speeds)
        candidates = {
            "ours": functools.partial(loader, wav, plan, fbank),
            "WeNet": functools.partial(wenet_loader, Path(wav.files[0]), len(speeds) > 1),
        }
        times = alternate(candidates, rounds)
        ratio = times["WeNet"] / times["ours"]
        seen = f"{ratio:.2f}x ({seconds / times['ours']:.0f} against {seconds / times['WeNet']:.0f} times real time)"
        rows.append(Row(f"loader against WeNet's, wav{name}", "2x", seen, ratio >= 2))
    return rows


def measure_fbank(rounds: int) -> Row:
    from torchaudio.compliance import kaldi

    waveforms = 0.1 * torch.randn(16, 15 * SAMPLE_RATE, generator=torch.Generator().manual_seed(0))
    num_samples = torch.full((16,), waveforms.shape[1])
    fbank = Fbank(FbankConfig()).eval()

    def theirs() -> None:
        for waveform in waveforms:
            kaldi.fbank(waveform[None] * 32768, num_mel_bins=80, dither=0.0, energy_floor=0.0)

    times = alternate({"ours": lambda: fbank(waveforms, num_samples), "torchaudio": theirs}, 3 * rounds)
    ratio = times["torchaudio"] / times["ours"]
    seen = f"{ratio:.2f}x ({1e3 * times['ours']:.0f} against {1e3 * times['torchaudio']:.0f} ms)"
    return Row("fbank of 16 x 15 s against torchaudio's, one thread", "1.3x", seen, ratio >= 1.3)


def plan_a_million() -> None:
    lengths = np.random.default_rng(0).gamma(5, 240, 1_000_000).astype(np.int64).clip(100, 3500)
    plan = BatchPlan(lengths, lengths // 20, BatchConfig(micro_batches_per_update=8), seed=0)
    plan.epoch(0)
    plan.num_updates(0, 120)


def measure_plan(own: Manifest) -> list[Row]:
    seconds, peak = seconds_and_bytes(plan_a_million)
    megabytes = peak / 2**20
    padding = plan_of(own, (0.9, 1.0, 1.1)).epoch(0).padding
    return [
        Row("plan of a million utterances, its updates in 120 epochs", "3 s", f"{seconds:.2f} s", seconds <= 3),
        Row("its memory", "200 MB", f"{megabytes:.0f} MB", megabytes <= 200),
        Row("padding of an epoch", "5 %", f"{100 * padding:.2f} %", padding <= 0.05),
    ]


def measure_memory(manifest: Manifest) -> Row:
    """Growth of this process over epochs 2 and 3 of a training loader, with speed perturbation."""
    fbank, plan, held = Fbank(FbankConfig()).eval(), plan_of(manifest, (0.9, 1.0, 1.1)), []
    for epoch in range(3):
        loader(manifest, plan, fbank, epoch)
        gc.collect()
        held.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6)
    return Row(
        "memory after epoch 3 against epoch 1", "10 MB more", f"{held[2] - held[0]:+.1f} MB", held[2] - held[0] < 10
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="folder with audio files, at any depth")
    parser.add_argument("--wenet", type=Path, help="WeNet checkout to measure against")
    parser.add_argument("--utterances", type=int, default=600, help="files to take (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each candidate (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted(path for suffix in SUFFIXES for path in args.corpus.rglob(f"*.{suffix}"))
    files = files[:: max(len(files) // args.utterances, 1)][: args.utterances]
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        copies = []
        for number, file in enumerate(files):
            samples, rate = soundfile.read(os.fspath(file), dtype="int16")
            copies.append(Path(folder) / f"{number}.wav")
            soundfile.write(os.fspath(copies[-1]), samples, rate)
        own, wav = list_of(files, Path(folder) / "own.list"), list_of(copies, Path(folder) / "wav.list")
        print(f"{len(files)} utterances, {own.seconds.sum() / 3600:.2f} h; {machine_line()}")
        rows = [*measure_plan(own), measure_fbank(args.rounds)]
        rows += [*measure_loaders(own, wav, args.wenet, args.rounds), measure_memory(wav)]
        return 0 if print_rows(rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
