"""What recognition on a CPU lays out anew; the parity contract covers whole models."""

import pytest
import torch
from torch import nn

from wenet_lite.model.convolution import ConvolutionModule
from wenet_lite.model.feed_forward import PositionwiseFeedForward
from wenet_lite.runtime.cpu import PackedFeedForward, pack
from wenet_lite.runtime.int8 import has_vnni, quantize


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


@pytest.mark.parametrize("bits", [7, 8])
def test_int8_products_err_by_less_than_half_a_step_of_each_input(bits: int) -> None:
    if bits == 8 and not has_vnni():
        pytest.skip("this processor adds up products of 8 by 8 bits in 16")
    plain = nn.Sequential(nn.Linear(64, 16))
    with torch.no_grad():
        plain[0].weight.copy_(torch.randint(-126, 127, (16, 64)) / 127)  # exact in int8, as the largest is 1
        plain[0].weight[:, 0] = 1.0
        x = 2 * torch.rand(100, 64) - 1
        expected, steps = plain(x), plain[0].weight.abs().sum(dim=1)
        quantize(plain, reduce_range=bits == 7)
        errors = (plain(x) - expected).abs() / steps
    half_a_step = (x.max() - x.min()) / (2**bits - 1) / 2
    assert 0 < errors.max() <= 1.02 * half_a_step  # zero is a step, too, which shifts the others
