"""SpecAugment masks with the mean, inside the utterance, the same for the same generator."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.features.spec_augment import SpecAugmentConfig, spec_augment

CONFIG = SpecAugmentConfig(num_t_mask=2, num_f_mask=1, max_t=10, max_f=4, max_t_ratio=0.5)


def augment(lens: list[int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    features = torch.rand(len(lens), max(lens), 20) + 1  # never equal to the mean, which is 0
    masked = spec_augment(features, torch.tensor(lens), torch.zeros(20), CONFIG, torch.Generator().manual_seed(seed))
    return features, masked


@given(lens=st.lists(st.integers(1, 80), min_size=1, max_size=4), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=50)
def test_masked_cells_are_the_mean_and_the_others_untouched(lens: list[int], seed: int) -> None:
    features, masked = augment(lens, seed)
    hidden = masked != features
    assert (masked[hidden] == 0).all()
    for cells, length in zip(hidden, lens):
        frames, bins = cells.all(dim=1), cells.all(dim=0)
        assert frames[:length].sum() <= 2 * (1 + min(10, 0.5 * length))
        if not frames.all():
            assert bins.sum() <= 5
        assert torch.equal(cells, frames.unsqueeze(1) | bins.unsqueeze(0))


def test_every_utterance_has_its_own_masks_and_the_seed_decides() -> None:
    _, first = augment([60, 60], 1)
    assert not torch.equal(first[0] == 0, first[1] == 0)
    _, again = augment([60, 60], 1)
    assert torch.equal(first == 0, again == 0)
