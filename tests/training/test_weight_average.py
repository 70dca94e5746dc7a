"""The moving average follows the weights, does not wait for a GPU, and gives them back untouched."""

import copy
import io

import pytest
import torch
from torch import Tensor, nn

from wenet_lite.training.weight_average import WeightAverage

TAKEN, SKIPPED = torch.tensor(False), torch.tensor(True)


def tiny_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))


def move(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for tensor in model.state_dict().values():
        tensor.copy_(tensor + 1 if tensor.dtype == torch.int64 else torch.randn(tensor.shape, generator=generator))


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(model.state_dict())


def averaged(average: WeightAverage, model: nn.Module) -> dict[str, Tensor]:
    with average.applied_to(model):
        return snapshot(model)


def assert_equal(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[name], expected[name]) for name in expected)


def test_it_is_the_average_with_a_growing_decay() -> None:
    model = tiny_model()
    average = WeightAverage(model, decay=0.3)
    expected = {name: tensor.double() for name, tensor in snapshot(model).items()}
    for n in range(6):
        move(model, n)
        average.update(model, TAKEN)
        decay = min(0.3, (1 + n) / (10 + n))
        for name, tensor in snapshot(model).items():
            expected[name] = decay * expected[name] + (1 - decay) * tensor.double()
    actual = averaged(average, model)
    assert actual.pop("1.num_batches_tracked") == model[1].num_batches_tracked == 6
    for name, tensor in actual.items():
        torch.testing.assert_close(tensor, expected[name].float())


def test_a_skipped_update_leaves_no_trace() -> None:
    first, second = tiny_model(), tiny_model()
    averages = WeightAverage(first, 0.9), WeightAverage(second, 0.9)
    for n in range(4):
        move(first, n)
        move(second, n)
        averages[0].update(first, TAKEN)
        averages[1].update(second, TAKEN)
        averages[1].update(second, SKIPPED)
    assert_equal(averaged(averages[1], second), averaged(averages[0], first))


def test_an_update_does_not_wait_for_the_device() -> None:
    model = tiny_model().to("meta")  # tensors without values: to ask for one is an error
    average = WeightAverage(model, 0.9)
    skip = torch.zeros((), dtype=torch.bool, device="meta")
    average.update(model, skip)
    with pytest.raises(RuntimeError, match="meta"):
        bool(skip)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_model_gets_its_own_weights_back_also_after_an_error(dtype: torch.dtype) -> None:
    model = tiny_model().to(dtype)
    average = WeightAverage(model, 0.9)
    move(model, 1)
    before = snapshot(model)
    with pytest.raises(KeyboardInterrupt), average.applied_to(model):
        assert not torch.equal(model[0].weight, before["0.weight"])
        raise KeyboardInterrupt
    assert_equal(snapshot(model), before)


def test_a_resumed_average_goes_on_bit_for_bit() -> None:
    model = tiny_model()
    average = WeightAverage(model, 0.5)
    for n in range(3):
        move(model, n)
        average.update(model, TAKEN)
    file = io.BytesIO()
    torch.save(average.state_dict(), file)
    file.seek(0)
    resumed = WeightAverage(model, 0.5)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    move(model, 3)
    for each in (average, resumed):
        each.update(model, TAKEN)
    assert_equal(averaged(resumed, model), averaged(average, model))


def test_small_steps_are_not_lost_in_a_low_precision() -> None:
    model = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    nn.init.ones_(model.weight)
    average = WeightAverage(model, 0.999)
    average.load_state_dict({**average.state_dict(), "num_updates": torch.tensor(100_000)})
    nn.init.constant_(model.weight, 2.0)
    for _ in range(1000):
        average.update(model, TAKEN)
    assert float(averaged(average, model)["weight"]) == pytest.approx(2 - 0.999**1000, rel=0.01)
