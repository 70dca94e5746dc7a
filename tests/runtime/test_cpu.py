"""What recognition on a CPU lays out anew; the parity contract covers whole models."""

import pytest
import torch
from torch import nn

from wenet_lite.model.convolution import ConvolutionModule
from wenet_lite.model.feed_forward import PositionwiseFeedForward
from wenet_lite.runtime.cpu import PackedFeedForward, pack


@pytest.mark.parametrize("hidden", [48, 1024])
@pytest.mark.parametrize("activation", [nn.SiLU(), nn.ReLU(), nn.Tanh()])
def test_packed_feed_forward_networks_agree(activation: nn.Module, hidden: int) -> None:
    plain = nn.Sequential(PositionwiseFeedForward(8, hidden, 0.1, activation)).eval()
    x = torch.randn(2, 5, 8)
    with torch.no_grad():
        expected = plain(x)
        pack(plain)
        torch.testing.assert_close(plain(x), expected, rtol=0, atol=1e-6)
        assert plain(x[:0]).shape == (0, 5, 8)
    assert isinstance(plain[0], PackedFeedForward)
    assert not list(plain.parameters())


def test_a_batch_norm_goes_into_the_convolution_before_it() -> None:
    module, norm = ConvolutionModule(8, 3, "batch_norm", causal=True, activation=nn.SiLU()), nn.BatchNorm1d(8)
    norm.running_mean, norm.running_var = torch.randn(8), 0.5 + torch.rand(8)
    norm.weight, norm.bias = nn.Parameter(torch.randn(8)), nn.Parameter(torch.randn(8))
    module.norm = norm
    module.eval()
    x, mask, before = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool), torch.randn(2, 8, 2)
    with torch.no_grad():
        expected, _ = module(x, mask, before)
        pack(module)
        found, _ = module(x, mask, before)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert isinstance(module.norm, nn.Identity)
