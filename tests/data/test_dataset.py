"""Batches do not depend on who loads them, and loading holds on to nothing."""

import gc
from pathlib import Path

import numpy as np
import pytest
from data_corpus import write_data_dir, write_lang_dir

from wenet_lite.bin import make_list
from wenet_lite.data.augmentation import AugmentConfig, Augmenter
from wenet_lite.data.batch_plan import BatchConfig, BatchPlan
from wenet_lite.data.dataset import SpeechDataset
from wenet_lite.data.manifest import Manifest, read_manifest
from wenet_lite.data.shard_stream import read_ahead

CONFIG = BatchConfig(max_frames=400, max_frames_per_utterance=200, micro_batches_per_update=2)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("dataset")
    data, lang = write_data_dir(root / "data", 60, "flac"), write_lang_dir(root / "lang")
    make_list.main(["--data-dir", str(data), "--lang-dir", str(lang), "--output", str(data / "data.list")])
    return read_manifest(data / "data.list")


def dataset_and_plan(manifest: Manifest, weight: float = 1.0) -> tuple[SpeechDataset, BatchPlan]:
    frames = np.asarray(manifest.num_samples) // 160
    augmenter = Augmenter(AugmentConfig(volume_db=(-3.0, 3.0)), 16000, seed=5)
    dataset = SpeechDataset(manifest, lambda text: [3] * len(text), 16000, augmenter)
    return dataset, BatchPlan(frames, np.zeros_like(frames), CONFIG, seed=5, weights=[weight])


@pytest.mark.parametrize("num_workers", [1, 3])
def test_workers_change_neither_order_nor_bits(manifest: Manifest, num_workers: int) -> None:
    dataset, plan = dataset_and_plan(manifest)
    alone = list(dataset.load(plan.epoch(1).of_rank(0, 1), 0))
    together = list(dataset.load(plan.epoch(1).of_rank(0, 1), num_workers))
    for expected, got in zip(alone, together, strict=True):
        assert got.keys == expected.keys and set(got.occurrences) == {1}
        np.testing.assert_array_equal(got.waveforms, expected.waveforms)


def test_ranks_and_resumed_runs_load_the_same_waveforms(manifest: Manifest) -> None:
    dataset, plan = dataset_and_plan(manifest)
    epoch = plan.epoch(0)
    alone = {key: row for b in dataset.load(epoch.of_rank(0, 1), 0) for key, row in zip(b.keys, b.waveforms.numpy())}
    for rank in range(2):
        for batch in dataset.load(epoch.of_rank(rank, 2, first_update=3), 1):
            for key, row, length in zip(batch.keys, batch.waveforms.numpy(), batch.num_samples.tolist()):
                np.testing.assert_array_equal(row[:length], alone[key][:length])


def test_no_two_occurrences_of_an_utterance_sound_alike(manifest: Manifest) -> None:
    dataset, plan = dataset_and_plan(manifest, weight=2.5)
    sounds = [
        (key, row[:length].tobytes())
        for epoch in range(2)
        for batch in dataset.load(plan.epoch(epoch).of_rank(0, 1), 0)
        for key, row, length in zip(batch.keys, batch.waveforms.numpy(), batch.num_samples.tolist())
    ]
    assert len(set(sounds)) == len(sounds) == 5 * len(manifest)


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [0, 1])
def test_memory_is_flat_over_epochs(manifest: Manifest, num_workers: int) -> None:
    dataset, plan = dataset_and_plan(manifest)
    held = []
    for epoch in range(30):
        for _ in dataset.load(plan.epoch(epoch).of_rank(0, 1), num_workers):
            pass
        gc.collect()
        held.append(resident_bytes())
    assert held[-1] - held[5] < 8e6  # the first epochs fill caches


def resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS in /proc/self/status")


def test_reading_ahead_keeps_order_bounds_and_errors() -> None:
    produced = []

    def items():
        for i in range(20):
            produced.append(i)
            yield i

    ahead = read_ahead(items(), 3)
    assert next(ahead) == 0
    assert len(produced) <= 6
    assert list(ahead) == list(range(1, 20))

    def broken():
        yield 1
        raise ValueError("torn")

    with pytest.raises(ValueError, match="torn"):
        list(read_ahead(broken(), 2))
