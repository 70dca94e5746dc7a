"""The plan's contract: everyone once, the same for every rank and world size, resumable anywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.data.batch_plan import BatchConfig, BatchPlan
from wenet_lite.errors import ConfigError

LENGTHS = st.lists(st.integers(1, 3000), min_size=8, max_size=200)


def make_plan(lengths: list[int], seed: int = 0, **changes) -> BatchPlan:
    config = BatchConfig(
        **{"max_frames": 4000, "micro_batches_per_update": 4, "max_frames_per_utterance": 2500, **changes}
    )
    return BatchPlan(np.array(lengths), np.full(len(lengths), 20), config, seed)


@given(LENGTHS, st.integers(0, 3), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_every_utterance_exactly_once_an_epoch_or_dropped(lengths: list[int], epoch: int, seed: int) -> None:
    try:
        plan = make_plan(lengths, seed)
    except ConfigError:
        return  # fewer usable utterances than micro-batches an update
    epoch_plan = plan.epoch(epoch)
    planned = [int(i) for batch in epoch_plan.micro_batches for i in batch.indices]
    assert sorted([*planned, *plan.dropped]) == list(range(len(lengths)))
    assert len(epoch_plan.micro_batches) % 4 == 0
    for index, reason in plan.dropped.items():
        assert reason and (lengths[index] < 20 or lengths[index] / 0.9 > 2500)


@given(LENGTHS, st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_no_batch_is_over_the_budget(lengths: list[int], seed: int) -> None:
    plan = make_plan(lengths + [500] * 8, seed, max_utterances=7)
    for batch in plan.epoch(1).micro_batches:
        assert len(batch.indices) <= 7
        if len(batch.indices) > 1:
            frames = np.floor(plan.num_frames[batch.indices] / batch.speeds)
            assert frames.max() * len(frames) <= 4000


@given(LENGTHS, st.sampled_from([1, 2, 4]), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_ranks_share_the_same_updates_for_every_world_size(lengths: list[int], world: int, first: int) -> None:
    plan = make_plan(lengths + [300] * 8).epoch(0)
    first = min(first, plan.num_updates)
    shares = [list(plan.of_rank(rank, world, first)) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    numbers = sorted(number for share in shares for number, _ in share)
    assert numbers == list(range(first * 4, len(plan.micro_batches)))
    for share in shares:
        for number, batch in share:
            assert batch is plan.micro_batches[number]


def test_the_plan_is_a_function_of_seed_and_epoch() -> None:
    lengths = list(np.random.default_rng(0).integers(50, 2000, 300))
    same, again = make_plan(lengths).epoch(3), make_plan(lengths).epoch(3)
    assert [b.indices.tolist() for b in same.micro_batches] == [b.indices.tolist() for b in again.micro_batches]
    assert [b.speeds.tolist() for b in same.micro_batches] == [b.speeds.tolist() for b in again.micro_batches]
    other_epoch, other_seed = make_plan(lengths).epoch(4), make_plan(lengths, seed=1).epoch(3)
    for other in (other_epoch, other_seed):
        assert [b.indices.tolist() for b in other.micro_batches] != [b.indices.tolist() for b in same.micro_batches]


def test_bucketing_keeps_padding_low() -> None:
    lengths = list(np.random.default_rng(0).integers(100, 1600, 1500))
    assert make_plan(lengths, max_frames=16000).epoch(0).padding < 0.05


def test_an_utterance_keeps_its_speed_where_a_faster_one_would_not_fit_its_transcript() -> None:
    config = BatchConfig(speed_factors=(1.1,), min_frames=1)
    plan = BatchPlan(np.array([100, 100]), np.array([99, 10]), config, seed=0)
    speeds = {int(i): float(s) for b in plan.epoch(0).micro_batches for i, s in zip(b.indices, b.speeds)}
    assert speeds == {0: 1.0, 1: 1.1}


def test_too_few_utterances_for_an_update_is_an_error() -> None:
    with pytest.raises(ConfigError, match="micro_batches_per_update"):
        make_plan([100, 100])


@pytest.mark.parametrize(
    "changes", [{"max_frames": 100}, {"micro_batches_per_update": 0}, {"speed_factors": ()}, {"speed_factors": (0.0,)}]
)
def test_impossible_settings_are_refused(changes: dict) -> None:
    with pytest.raises(ValueError):
        BatchConfig(**changes)
