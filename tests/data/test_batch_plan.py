"""The plan's contract: everyone once, or as weighted; the same for every rank and world size; resumable anywhere."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.data.batch_plan import BatchConfig, BatchPlan, EpochPlan, MicroBatch
from wenet_lite.data.shard_plan import ShardPlan
from wenet_lite.errors import ConfigError

LENGTHS = st.lists(st.integers(1, 3000), min_size=8, max_size=200)
WEIGHTS = st.lists(st.sampled_from([0.1, 0.25, 0.3, 0.5, 1.0, 1.7, 2.0, 3.5]), min_size=2, max_size=2)
COUNTS = st.lists(st.integers(1, 40), min_size=3, max_size=3)
CONFIG = {"max_frames": 4000, "micro_batches_per_update": 4, "max_frames_per_utterance": 2500}


def make_plan(lengths: list[int], seed: int = 0, **changes) -> BatchPlan:
    return BatchPlan(np.array(lengths), np.full(len(lengths), 20), BatchConfig(**{**CONFIG, **changes}), seed)


def make_shard_plan(lengths: list[int], shards: int, seed: int = 0, **changes) -> ShardPlan:
    starts = np.linspace(0, len(lengths), shards, endpoint=False).astype(int)
    config = BatchConfig(**{**CONFIG, **changes})
    return ShardPlan(np.array(lengths), np.full(len(lengths), 20), config, seed, shard_starts=starts)


def make_weighted_plan(weights: list[float], counts: list[int], seed: int = 0, **changes) -> BatchPlan:
    """Of lists of `counts` utterances, and of 8 more in the first one."""
    lengths = np.random.default_rng(seed).integers(100, 2000, sum(counts) + 8)
    starts = [0, *(np.cumsum(counts[:-1]) + 8)]
    config = BatchConfig(**{**CONFIG, **changes})
    return BatchPlan(lengths, np.full(len(lengths), 20), config, seed, list_starts=starts, weights=weights)


def all_batches(plan: EpochPlan) -> list[MicroBatch]:
    return [plan.micro_batch(number) for number in range(plan.num_micro_batches)]


def assert_same(first: list[MicroBatch], second: list[MicroBatch]) -> None:
    assert [b.indices.tolist() for b in first] == [b.indices.tolist() for b in second]
    assert [b.speeds.tolist() for b in first] == [b.speeds.tolist() for b in second]


@given(LENGTHS, st.integers(0, 3), st.integers(0, 1000), st.sampled_from([0, 3, 7]), st.booleans())
@settings(max_examples=80, deadline=None)
def test_every_utterance_exactly_once_an_epoch_or_dropped(
    lengths: list[int], epoch: int, seed: int, batch_size: int, sharded: bool
) -> None:
    try:
        if sharded:
            plan = make_shard_plan(lengths, 6, seed, batch_size=batch_size, shard_window=20)
        else:
            plan = make_plan(lengths, seed, batch_size=batch_size)
    except ConfigError:
        return  # fewer usable utterances than micro-batches an update
    epoch_plan = plan.epoch(epoch)
    assert sorted([*epoch_plan.indices.tolist(), *plan.dropped]) == list(range(len(lengths)))
    assert epoch_plan.num_micro_batches % 4 == 0
    for index, reason in plan.dropped.items():
        assert reason and (lengths[index] < 20 or lengths[index] > 2500)


@given(LENGTHS, st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_no_batch_is_over_the_budget(lengths: list[int], seed: int) -> None:
    plan = make_plan(lengths + [500] * 8, seed, max_utterances=7)
    for batch in all_batches(plan.epoch(1)):
        assert len(batch.indices) <= 7
        if len(batch.indices) > 1:
            frames = np.floor(plan.num_frames[batch.indices] / batch.speeds)
            assert frames.max() * len(frames) <= 4000


@given(LENGTHS, st.sampled_from([1, 2, 4]), st.integers(0, 5), st.booleans())
@settings(max_examples=60, deadline=None)
def test_ranks_share_the_same_updates_for_every_world_size_and_resume_anywhere(
    lengths: list[int], world: int, first: int, sharded: bool
) -> None:
    lengths = lengths + [300] * 8
    plan = (make_shard_plan(lengths, 4) if sharded and len(lengths) > 100 else make_plan(lengths)).epoch(0)
    first = min(first, plan.num_updates)
    shares = [list(plan.of_rank(rank, world, first)) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    together = [shares[number % world][number // world] for number in range(sum(map(len, shares)))]
    assert_same(together, all_batches(plan)[first * 4 :])
    counted = sum(plan.num_utterances(update) for update in range(first, plan.num_updates))
    assert counted == sum(len(batch.indices) for batch in together)


@given(LENGTHS, st.integers(0, 3), st.integers(0, 7), st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_the_number_of_updates_is_known_before_the_first(
    lengths: list[int], first: int, last: int, plain_epochs: int
) -> None:
    plan = make_plan(lengths + [300] * 8, plain_epochs=plain_epochs)
    assert plan.num_updates(first, last) == sum(plan.epoch(epoch).num_updates for epoch in range(first, last))


@given(LENGTHS, st.integers(0, 3), st.integers(0, 7))
@settings(max_examples=30, deadline=None)
def test_the_updates_of_streamed_epochs_to_come_are_taken_to_be_those_of_the_next(
    lengths: list[int], first: int, more: int
) -> None:
    lengths = [300] * 8 + lengths + [300] * 8
    plan, another = (make_shard_plan(lengths, 2, micro_batches_per_update=2) for _ in range(2))
    assert plan.num_updates(first, first + more) == more * another.epoch(first).num_updates
    assert plan.num_updates(first, first) == 0


@given(LENGTHS, st.integers(0, 100), st.sampled_from([0.0, 0.02, 0.1]))
@settings(max_examples=60, deadline=None)
def test_padding_is_under_the_stated_bound(lengths: list[int], seed: int, width: float) -> None:
    plan = make_plan(lengths + [500] * 8, seed, micro_batches_per_update=1, bucket_width=width)
    epoch = plan.epoch(2)
    frames = np.floor(plan.num_frames[epoch.indices] / epoch.speeds)
    padded = sum(frames[a:b].max() * (b - a) for a, b in zip(epoch.offsets[:-1], epoch.offsets[1:]))
    assert epoch.padding == pytest.approx(1 - frames.sum() / padded)
    rounding = (width * frames + 1).sum()  # lengths are rounded up to whole frames
    assert padded - frames.sum() <= rounding + np.diff(epoch.offsets).max() * (frames.max() - frames.min())


@given(WEIGHTS, COUNTS, st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_weights_tell_how_often_an_epoch_takes_an_utterance(
    weights: list[float], counts: list[int], first: int
) -> None:
    weights = [1.5, *weights]
    plan = make_weighted_plan(weights, counts)
    bounds = [*plan.list_starts, len(plan.num_frames)]
    for weight, start, end in zip(weights, bounds, bounds[1:]):
        for epoch in range(first, first + 3):
            times = np.bincount(plan.epoch(epoch).indices, minlength=bounds[-1])[start:end]
            assert set(times) <= {math.floor(weight), math.ceil(weight)}
            assert abs(times.sum() - weight * (end - start)) < 1


@given(COUNTS, st.integers(0, 9), st.sampled_from([2, 4, 5, 10]))
@settings(max_examples=30, deadline=None)
def test_epochs_in_a_row_share_out_a_list_of_weight_one_over_their_number(
    counts: list[int], first: int, epochs: int
) -> None:
    plan = make_weighted_plan([1.0, *[1 / epochs] * (len(counts) - 1)], counts)
    taken = np.concatenate([plan.epoch(epoch).indices for epoch in range(first, first + epochs)])
    assert np.array_equal(np.sort(taken[taken >= counts[0] + 8]), np.arange(counts[0] + 8, len(plan.num_frames)))


@given(WEIGHTS, COUNTS)
@settings(max_examples=30, deadline=None)
def test_the_occurrences_of_an_utterance_count_on_and_take_the_next_speed(
    weights: list[float], counts: list[int]
) -> None:
    plan = make_weighted_plan([1.5, *weights], counts)
    seen: dict[int, list[tuple[int, float]]] = {}
    for epoch in map(plan.epoch, range(4)):
        taken = sorted(zip(epoch.indices.tolist(), epoch.occurrences.tolist(), epoch.speeds.tolist()))
        for index, occurrence, speed in taken:
            seen.setdefault(index, []).append((occurrence, speed))
    for occurrences in seen.values():
        assert [number for number, _ in occurrences] == list(range(len(occurrences)))
        assert len({speed for _, speed in occurrences[:3]}) == len(occurrences[:3])


@given(WEIGHTS, COUNTS, st.integers(0, 25), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_the_number_of_updates_of_weighted_lists_is_known(
    weights: list[float], counts: list[int], epochs: int, plain_epochs: int
) -> None:
    plan = make_weighted_plan([1.5, *weights], counts, plain_epochs=plain_epochs)
    assert plan.num_updates(0, epochs) == sum(plan.epoch(epoch).num_updates for epoch in range(epochs))
    on_another_rank = make_weighted_plan([1.5, *weights], counts, plain_epochs=plain_epochs)
    assert_same(all_batches(plan.epoch(epochs)), all_batches(on_another_rank.epoch(epochs)))


@given(COUNTS, st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_lists_of_weight_one_are_one_list(counts: list[int], epoch: int) -> None:
    lists = make_weighted_plan([1.0] * len(counts), counts)
    one = BatchPlan(lists.num_frames, lists.min_frames, lists.config, lists.seed)
    assert_same(all_batches(lists.epoch(epoch)), all_batches(one.epoch(epoch)))
    assert set(one.epoch(epoch).occurrences) == {epoch}


def test_weights_that_a_plan_cannot_have_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"18 of 18 utterances can be used, 1 in an epoch.*raise a weight"):
        make_weighted_plan([0.1], [10])
    config, lengths = BatchConfig(**CONFIG), np.full(100, 500)
    with pytest.raises(ConfigError, match="take no weights"):
        ShardPlan(lengths, lengths // 20, config, 0, weights=[2.0], shard_starts=np.arange(0, 100, 10))


@pytest.mark.parametrize("sharded", [False, True])
def test_the_plan_is_a_function_of_seed_and_epoch(sharded: bool) -> None:
    lengths = list(np.random.default_rng(0).integers(50, 2000, 300))

    def batches(seed: int, epoch: int) -> list[MicroBatch]:
        plan = make_shard_plan(lengths, 10, seed, shard_window=50) if sharded else make_plan(lengths, seed)
        return all_batches(plan.epoch(epoch))

    assert_same(batches(0, 3), batches(0, 3))
    for other in (batches(0, 4), batches(1, 3)):
        assert [b.indices.tolist() for b in other] != [b.indices.tolist() for b in batches(0, 3)]


@pytest.mark.parametrize("sharded", [False, True])
def test_speed_perturbation_begins_after_the_plain_epochs(sharded: bool) -> None:
    lengths = list(np.random.default_rng(0).integers(50, 2000, 300))

    def make(**changes) -> BatchPlan:
        return make_shard_plan(lengths, 10, **changes) if sharded else make_plan(lengths, **changes)

    plan, without, always = make(plain_epochs=2), make(speed_factors=(1.0,)), make()
    for epoch, expected in enumerate([without, without, always, always]):
        assert_same(all_batches(plan.epoch(epoch)), all_batches(expected.epoch(epoch)))


def test_each_list_has_plain_epochs_of_its_own() -> None:
    plan = make_weighted_plan([1.0, 0.5], [40, 40], plain_epochs=1)
    plain = []
    for epoch in map(plan.epoch, range(3)):
        of_first = epoch.indices < plan.list_starts[1]
        plain.append([bool((epoch.speeds[chosen] == 1.0).all()) for chosen in (of_first, ~of_first)])
    assert plain == [[True, True], [False, True], [False, False]]


def test_every_utterance_goes_through_all_speed_factors() -> None:
    plan = make_plan([500] * 60)
    speeds: dict[int, set[float]] = {}
    for epoch in range(3):
        epoch_plan = plan.epoch(epoch)
        assert len(set(epoch_plan.speeds)) == 3
        for index, speed in zip(epoch_plan.indices, epoch_plan.speeds):
            speeds.setdefault(index, set()).add(speed)
    assert all(factors == {0.9, 1.0, 1.1} for factors in speeds.values())


def test_bucketing_keeps_padding_low() -> None:
    lengths = list(np.random.default_rng(0).integers(100, 1600, 1500))
    assert make_plan(lengths, max_frames=16000).epoch(0).padding < 0.05


def test_static_batches_have_the_size_that_was_asked_for() -> None:
    sizes = np.diff(make_plan([500] * 70, batch_size=10, micro_batches_per_update=1).epoch(0).offsets)
    assert sizes.tolist() == [10] * 7


def test_an_utterance_keeps_its_speed_where_another_one_would_not_do() -> None:
    config = BatchConfig(speed_factors=(1.1,), min_frames=1)
    plan = BatchPlan(np.array([100, 100]), np.array([99, 10]), config, seed=0)
    epoch = plan.epoch(0)
    assert dict(zip(epoch.indices.tolist(), epoch.speeds.tolist())) == {0: 1.0, 1: 1.1}
    slow = BatchConfig(speed_factors=(0.5,), max_frames_per_utterance=150)
    plan = BatchPlan(np.array([100, 70]), np.array([10, 10]), slow, seed=0)
    epoch = plan.epoch(0)
    assert dict(zip(epoch.indices.tolist(), epoch.speeds.tolist())) == {0: 1.0, 1: 0.5}


def test_the_largest_batches_come_first_on_demand() -> None:
    lengths = list(np.random.default_rng(0).integers(50, 2000, 300))
    usual, largest_first = make_plan(lengths), make_plan(lengths, warm_up_largest=True)

    def padded(plan: BatchPlan, batch: MicroBatch) -> float:
        return float(np.floor(plan.num_frames[batch.indices] / batch.speeds).max() * len(batch.indices))

    sizes = [padded(largest_first, batch) for batch in all_batches(largest_first.epoch(0))]
    assert sorted(sizes[:4], reverse=True) == sorted(sizes, reverse=True)[:4]
    longest = {int(batch.indices[0]) for batch in all_batches(largest_first.epoch(0))[:8]}
    assert any(lengths[index] >= np.quantile(lengths, 0.98) for index in longest)
    assert sorted(sizes) == sorted(padded(usual, batch) for batch in all_batches(usual.epoch(0)))
    assert_same(all_batches(usual.epoch(1)), all_batches(largest_first.epoch(1)))


def test_a_lane_opens_whole_shards_one_after_the_other() -> None:
    lengths = list(np.random.default_rng(0).integers(50, 2000, 400))
    plan = make_shard_plan(lengths, 16, shard_window=50, micro_batches_per_update=4)
    epoch = plan.epoch(0)
    opened = []
    for lane in range(4):
        batches = list(epoch.of_rank(lane, 4))
        shards = [{int(np.searchsorted(plan.shard_starts, i, "right")) - 1 for i in b.indices} for b in batches]
        opened.append(set().union(*shards))
        first, last = {}, {}
        for number, shard_set in enumerate(shards):
            for shard in shard_set:
                first.setdefault(shard, number)
                last[shard] = number
        for number in range(len(batches)):  # 25 utterances a shard, 50 a window: never more than two at a time
            assert sum(first[s] <= number <= last[s] for s in first) <= 2
    assert sum(map(len, opened)) == 16 == len(set().union(*opened))


def test_too_few_utterances_or_shards_for_an_update_is_an_error() -> None:
    with pytest.raises(ConfigError, match="micro_batches_per_update"):
        make_plan([100, 100])
    with pytest.raises(ConfigError, match="shards cannot be read by 4 lanes"):
        make_shard_plan([100] * 50, 3)


def test_a_million_utterances_are_planned_in_seconds() -> None:
    lengths = np.random.default_rng(0).gamma(5, 240, 1_000_000).astype(np.int64).clip(100, 3500)
    plan = BatchPlan(lengths, lengths // 20, BatchConfig(micro_batches_per_update=8), seed=0)
    epoch = plan.epoch(0)
    assert len(epoch.indices) == 1_000_000 and epoch.padding < 0.02
    assert sum(array.nbytes for array in (epoch.indices, epoch.speeds, epoch.offsets)) < 20e6


@pytest.mark.parametrize(
    "changes",
    [
        {"max_frames": 100},
        {"micro_batches_per_update": 0},
        {"speed_factors": ()},
        {"speed_factors": (0.0,)},
        {"batch_size": -1},
        {"plain_epochs": -1},
        {"shard_window": 0},
    ],
)
def test_impossible_settings_are_refused(changes: dict) -> None:
    with pytest.raises(ValueError):
        BatchConfig(**changes)
