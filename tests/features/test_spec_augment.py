"""Features are masked, copied and cut inside the utterance, by its own random numbers."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.data.draws import utterance_draws
from wenet_lite.features.spec_augment import (
    SpecAugmentConfig,
    SpecSubConfig,
    SpecTrimConfig,
    spec_augment,
    spec_sub,
    spec_trim,
)

CONFIG = SpecAugmentConfig(num_t_mask=2, num_f_mask=1, max_t=10, max_f=4, max_t_ratio=0.5)
LENS = st.lists(st.integers(1, 80), min_size=1, max_size=4)


def draws(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [utterance_draws(seed, 0, f"utt{i}", "spectrum") for i in range(count)]


def some_features(lens: list[int]) -> torch.Tensor:
    return torch.rand(len(lens), max(lens), 20) + 1  # never equal to the mean, which is 0


@given(lens=LENS, seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=50)
def test_masked_cells_are_the_mean_and_the_others_untouched(lens: list[int], seed: int) -> None:
    features = some_features(lens)
    masked = spec_augment(features, torch.tensor(lens), torch.zeros(20), CONFIG, draws(len(lens), seed))
    hidden = masked != features
    assert (masked[hidden] == 0).all()
    for cells, length in zip(hidden, lens):
        frames, bins = cells.all(dim=1), cells.all(dim=0)
        assert frames[:length].sum() <= 2 * (1 + min(10, 0.5 * length))
        if not frames.all():
            assert bins.sum() <= 5
        assert torch.equal(cells, frames.unsqueeze(1) | bins.unsqueeze(0))


def test_an_utterance_is_masked_alike_in_any_batch_and_anew_in_each_epoch() -> None:
    features = some_features([60, 80])
    both = spec_augment(features, torch.tensor([60, 80]), torch.zeros(20), CONFIG, draws(2))
    alone = spec_augment(features[:1, :60], torch.tensor([60]), torch.zeros(20), CONFIG, draws(1))
    assert torch.equal(both[0, :60], alone[0])
    assert not torch.equal(both[0] == 0, both[1] == 0)
    later = [utterance_draws(0, 1, f"utt{i}", "spectrum") for i in range(2)]
    assert not torch.equal(
        both == 0, spec_augment(features, torch.tensor([60, 80]), torch.zeros(20), CONFIG, later) == 0
    )


@given(lens=LENS, seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=50)
def test_substituted_frames_are_earlier_frames_of_the_same_utterance(lens: list[int], seed: int) -> None:
    times = torch.arange(max(lens), dtype=torch.float32).repeat(len(lens), 1).unsqueeze(2)
    copied = spec_sub(times, torch.tensor(lens), SpecSubConfig(num_t_sub=3, max_t=10), draws(len(lens), seed))
    assert ((copied >= 0) & (copied <= times)).all()
    for row, length in zip(copied[..., 0], lens):
        assert (row != times[0, :, 0]).sum() <= 3 * 10
        assert torch.equal(row[length:], times[0, length:, 0])  # padding stays


@given(lens=LENS, seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=50)
def test_trimming_never_takes_half_an_utterance(lens: list[int], seed: int) -> None:
    before = torch.tensor(lens)
    after = spec_trim(before, SpecTrimConfig(max_t=20), draws(len(lens), seed))
    assert ((after <= before) & (before - after <= 20) & (2 * after > before)).all()
