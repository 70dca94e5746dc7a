"""A list with every kind of damage loads to its end, and each damaged utterance is reported with its reason."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_corpus import noise, write_lang_dir

from wenet_lite.bin import make_list
from wenet_lite.data.batch_plan import BatchConfig
from wenet_lite.data.dataset import SpeechDataset
from wenet_lite.data.manifest import read_manifest
from wenet_lite.distributed import World
from wenet_lite.errors import DataError
from wenet_lite.experiment import plan_batches, report_left_out
from wenet_lite.text.tokenizer import load_tokenizer

COUNT = 10_000
KINDS = {
    "missing file": "no such audio file",
    "zero bytes": "is empty",
    "truncated flac": "cannot be decoded|is truncated",
    "text file": "cannot be decoded",
    "NaN samples": "NaN",
    "0.01 s": "shorter than min_frames",
    "10 min": "longer than max_frames_per_utterance",
    "empty text": "empty transcript",
    "unknown characters": "unknown characters only",
    "too short for its text": "too short for its transcript",
    "duplicate key": "a second time",
    "another length": "its list says",
}
OF_EACH = 8
CONFIG = BatchConfig(max_frames=6000, max_frames_per_utterance=3000, speed_factors=(1.0,))


def damaged_line(kind: str, folder: Path, number: int) -> dict:
    """A line of the list whose utterance is damaged in this way."""
    path = folder / f"bad{number}.wav"
    line = {"key": f"bad-{number:04d}", "wav": str(path), "txt": "STOP", "num_samples": 8000, "sample_rate": 16000}
    if kind == "zero bytes":
        path.write_bytes(b"")
    elif kind == "truncated flac":
        path = path.with_suffix(".flac")
        soundfile.write(path, noise(2.0, number), 16000)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        line |= {"wav": str(path), "num_samples": 32000}
    elif kind == "text file":
        path.write_text("this is no audio\n" * 20)
    elif kind == "NaN samples":
        soundfile.write(path, np.full(8000, np.nan), 16000, subtype="FLOAT")
    elif kind == "0.01 s":
        line |= {"num_samples": 160}
    elif kind == "10 min":
        line |= {"num_samples": 600 * 16000}
    elif kind == "empty text":
        line |= {"txt": ""}
    elif kind == "unknown characters":
        line |= {"txt": "你好"}
    elif kind == "too short for its text":
        line |= {"txt": "STOP " * 100}
    elif kind == "duplicate key":
        line |= {"key": f"good-{number:05d}"}
    elif kind == "another length":
        soundfile.write(path, noise(2.0, number), 16000)
    return line


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, str]]:
    """The list, the lang directory, and kind of damage by key."""
    folder = tmp_path_factory.mktemp("damage")
    soundfile.write(folder / "good.flac", noise(0.5), 16000)
    good = {"wav": str(folder / "good.flac"), "txt": "STOP", "num_samples": 8000, "sample_rate": 16000}
    damages = [kind for kind in KINDS for _ in range(OF_EACH)]
    lines = [{"key": f"good-{number:05d}", **good} for number in range(COUNT - len(damages))]
    kinds = {}
    for number, kind in enumerate(damages):
        lines.append(damaged_line(kind, folder, number))
        kinds[lines[-1]["key"]] = kind
    (folder / "data.list").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "data.list", write_lang_dir(folder / "lang"), kinds


def test_it_loads_to_the_end_and_reports_each(listed: tuple[Path, Path, dict[str, str]]) -> None:
    path, lang, kinds = listed
    manifest, tokenizer = read_manifest(path), load_tokenizer(lang)
    plan = plan_batches(manifest, tokenizer, "conv2d", CONFIG, seed=0)
    dataset = SpeechDataset(manifest, tokenizer.encode, 16000)
    reported = [*manifest.rejected, *((manifest[index].key, reason) for index, reason in plan.dropped.items())]
    loaded: list[str] = []
    for batch in dataset.load(plan.epoch(0).of_rank(0, 1), num_workers=1):
        assert len(batch.keys) == len(batch.waveforms)
        loaded += batch.keys
        reported += batch.failed.items()
    assert len(loaded) == len(set(loaded)) and len(loaded) + len(reported) == COUNT
    assert sorted(key for key, _ in reported) == sorted(kinds)
    for key, reason in reported:
        assert any(part in reason for part in KINDS[kinds[key]].split("|")), (kinds[key], reason)


def test_more_than_the_bound_is_an_error(listed: tuple[Path, Path, dict[str, str]]) -> None:
    path, lang, _ = listed
    manifest, tokenizer = read_manifest(path), load_tokenizer(lang)
    plan = plan_batches(manifest, tokenizer, "conv2d", CONFIG, seed=0)
    known_early = len(plan.dropped) + len(manifest.rejected)
    report_left_out(manifest, plan, (known_early + 0.5) / COUNT, World())
    with pytest.raises(DataError, match=f"{known_early} of {COUNT} utterances cannot be used.*such as"):
        report_left_out(manifest, plan, (known_early - 0.5) / COUNT, World())


def test_the_indexing_pass_reports_what_headers_tell(listed: tuple[Path, Path, dict[str, str]], tmp_path: Path) -> None:
    path, _, kinds = listed
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    without = [{name: line[name] for name in ("key", "wav", "txt")} for line in lines]
    (tmp_path / "data.list").write_text("".join(json.dumps(line) + "\n" for line in without))
    assert make_list.main(["--index", str(tmp_path / "data.list")]) == 0
    manifest = read_manifest(tmp_path / "data.list")
    by_kind = {kind: {key for key in kinds if kinds[key] == kind} for kind in KINDS}
    rejected = {key for key, _ in manifest.rejected}
    for kind in ("missing file", "zero bytes", "text file", "duplicate key"):
        assert by_kind[kind] <= rejected
    assert len(manifest) + len(manifest.rejected) == COUNT
