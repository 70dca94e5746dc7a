"""Dropout keeps the mean, zeroes its share, and is the identity outside training."""

import pytest
import torch

from wenet_lite.model.dropout import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_share_of_zeros_and_mean(rate: float) -> None:
    torch.manual_seed(0)
    out = Dropout(rate)(torch.ones(1000, 1003))
    assert (out == 0).float().mean().item() == pytest.approx(rate, abs=2e-3)
    assert out.mean().item() == pytest.approx(1.0, abs=1e-2)
    # 16 bits of the same random word must not depend on each other.
    kept = (out != 0).flatten()[: 4 * (out.numel() // 4)].view(-1, 4).float()
    assert torch.corrcoef(kept.T).fill_diagonal_(0).abs().max() < 0.01


def test_gradient_is_zero_where_the_output_is() -> None:
    x = torch.randn(3, 5, 7, requires_grad=True)
    out = Dropout(0.3)(x)
    out.sum().backward()
    torch.testing.assert_close(x.grad * x, out)


def test_same_seed_same_mask() -> None:
    outs = []
    for _ in range(2):
        torch.manual_seed(1)
        outs.append(Dropout(0.2)(torch.ones(9, 11)))
    assert torch.equal(*outs)


def test_identity_outside_training_and_at_rate_zero() -> None:
    x = torch.randn(4, 3)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert torch.equal(torch.jit.script(Dropout(0.5).eval())(x), x)
    assert Dropout(0.5)(torch.zeros(0, 3)).shape == (0, 3)
