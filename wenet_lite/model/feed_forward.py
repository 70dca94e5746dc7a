"""Position-wise feed-forward network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wenet_lite.model.dropout import Dropout


class PositionwiseFeedForward(nn.Module):
    """Linear, activation, dropout, linear, on every frame alike.

    Args:
        dim: size of input and output.
        hidden_dim: size between the two layers.
        dropout_rate: dropout after the activation.
        activation: the non-linearity.
    """

    def __init__(self, dim: int, hidden_dim: int, dropout_rate: float, activation: nn.Module) -> None:
        super().__init__()
        self.w_1 = nn.Linear(dim, hidden_dim)
        self.activation = activation
        self.dropout = Dropout(dropout_rate)
        self.w_2 = nn.Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) to (..., dim)."""
        if self.training and not torch.jit.is_scripting() and _convolves(x):  # type: ignore[attr-defined]
            return _as_convolution(self.w_2, self.dropout(self.activation(_as_convolution(self.w_1, x))))
        return self.w_2(self.dropout(self.activation(self.w_1(x))))


def _convolves(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def _as_convolution(layer: nn.Linear, x: Tensor) -> Tensor:
    """`layer(x)` as a 1 x 1 convolution over a row of pixels.

    torch leaves a linear layer to MKL and a convolution to oneDNN, which is twice as fast on AMD's processors.
    """
    if x.numel() == 0:
        return layer(x)
    row = x.reshape(1, -1, x.shape[-1]).transpose(1, 2).unsqueeze(2)  # (1, dim, 1, pixels), channels last in memory
    out = nn.functional.conv2d(row, layer.weight[:, :, None, None], layer.bias)
    return out.squeeze(2).transpose(1, 2).reshape(*x.shape[:-1], -1)
