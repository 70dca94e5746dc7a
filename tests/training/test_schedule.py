"""Learning rates agree with those of WeNet and torch, and can be taken up anywhere."""

import random
from pathlib import Path

import pytest
import torch

from wenet_lite.config import from_dict
from wenet_lite.errors import ConfigError
from wenet_lite.training.schedule import ScheduleConfig, learning_rate


def wenet_rates(golden: Path, name: str) -> list[float]:
    """WeNet's learning rates for a peak of 0.002, by update; the file begins with one that no update takes."""
    return torch.load(golden / "misc" / "schedulers.pt", weights_only=True)[name][1:]


def test_warmuplr_is_wenets(golden: Path) -> None:
    expected = wenet_rates(golden, "warmup25")
    config = ScheduleConfig("warmuplr", warmup_updates=25)
    actual = [learning_rate(config, 0.002, update, total_updates=10_000) for update in range(len(expected))]
    assert len(expected) > 25 and actual == pytest.approx(expected, rel=1e-6)


def test_noam_hold_is_wenets(golden: Path) -> None:
    # Its max_steps is 200; what it does after them, no run of ours reaches.
    expected = wenet_rates(golden, "noamhold")[:201]
    config = ScheduleConfig("noam_hold", warmup_updates=40, hold_updates=60, decay_rate=1.0, min_lr=1e-5)
    actual = [learning_rate(config, 0.002, update, total_updates=201) for update in range(201)]
    assert actual == pytest.approx(expected, rel=1e-12)


def test_noam_hold_with_a_root_and_a_floor_is_wenets() -> None:
    # Worked out by WeNet's NoamHoldAnnealing.
    expected = {0: 2 / 11, 10: 2.0, 25: 2.0, 26: 1.9069251784911848, 40: 1.2649110640673518, 49: 1.1, 50: 1.1}
    config = ScheduleConfig("noam_hold", warmup_updates=10, hold_updates=15, decay_rate=0.5, min_lr=1.1)
    actual = {update: learning_rate(config, 2.0, update, 51) for update in expected}
    assert actual == pytest.approx(expected, rel=1e-12)


def test_cosine_ends_at_its_final_ratio() -> None:
    config = ScheduleConfig("cosine", warmup_updates=10, final_ratio=0.1)
    assert learning_rate(config, 2.0, 9, 100) == pytest.approx(2.0)
    assert learning_rate(config, 2.0, 54, 100) == pytest.approx(2.0 * (0.1 + 0.9 * 0.5))
    assert learning_rate(config, 2.0, 99, 100) == pytest.approx(0.2)


def test_constant_stays_at_the_peak() -> None:
    config = ScheduleConfig("constant", warmup_updates=4)
    assert [learning_rate(config, 2.0, update, 7) for update in range(7)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("seed", range(20))
def test_plateau_is_torchs_reduce_on_plateau(seed: int) -> None:
    draw = random.Random(seed)
    config = ScheduleConfig(
        "plateau", 1, factor=draw.choice([0.1, 0.5, 0.9]), patience=draw.randrange(4), threshold=0.02, min_lr=1e-4
    )
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.01)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=config.factor, patience=config.patience, threshold=config.threshold, min_lr=1e-4, eps=0.0
    )
    losses = [draw.choice([10 * 0.95**epoch + draw.random(), float("nan"), 9.0]) for epoch in range(60)]
    for epoch in range(61):
        # From the list alone, as after a resume.
        assert learning_rate(config, 0.01, 100 * epoch + 1, 6100, losses[:epoch]) == optimizer.param_groups[0]["lr"]
        if epoch < 60:
            oracle.step(losses[epoch])
    assert optimizer.param_groups[0]["lr"] < 0.01


def test_a_plateau_in_the_warm_up_lowers_what_it_leads_to() -> None:
    config = ScheduleConfig("plateau", warmup_updates=10, patience=1)
    flat = (5.0, 5.0, 5.0)
    assert learning_rate(config, 2.0, 4, 100, flat[:2]) == pytest.approx(1.0)
    assert [learning_rate(config, 2.0, update, 100, flat) for update in (4, 9, 10)] == pytest.approx([0.5, 1.0, 1.0])


@pytest.mark.parametrize(
    ("key", "value"), [("warmup_updates", 0), ("factor", 1.0), ("patience", -1), ("hold_updates", -1), ("min_lr", -0.1)]
)
def test_values_out_of_range_are_refused(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"'training.schedule': {key} must"):
        from_dict(ScheduleConfig, {key: value}, at="training.schedule")
