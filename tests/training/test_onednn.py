"""On a CPU layers train through oneDNN and compute what they computed before."""

import copy

import pytest
import torch

from wenet_lite.model.convolution import PointwiseConv1d
from wenet_lite.training.cpu import train_through_onednn


@pytest.mark.parametrize("shape", [(3, 7, 16), (3, 0, 16)], ids=["full", "empty"])
@pytest.mark.parametrize(
    "layer", [torch.nn.Linear(16, 48), torch.nn.Linear(16, 48, bias=False), PointwiseConv1d(16, 48)], ids=str
)
def test_layers_agree_with_torchs(layer: torch.nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    prepared, x = copy.deepcopy(layer), torch.randn(shape, requires_grad=True)
    train_through_onednn(prepared)
    assert type(prepared) is not type(layer) and prepared.state_dict().keys() == layer.state_dict().keys()
    results = []
    for each in (prepared.train(), prepared.eval(), layer):
        out = each(x)
        results.append([out, *torch.autograd.grad(out.square().sum(), [x, *each.parameters()])])
    for trained, evaluated, expected in zip(*results, strict=True):
        torch.testing.assert_close(trained, expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(evaluated, expected)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_one_thread_goes_through_onednn_too() -> None:
    layer, x, threads = torch.nn.Linear(16, 48), torch.randn(1, 2000, 16), torch.get_num_threads()
    train_through_onednn(layer)
    torch.set_num_threads(1)
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            layer(x)
    finally:
        torch.set_num_threads(threads)
    assert any("mkldnn_convolution" in event.key for event in profile.key_averages())
