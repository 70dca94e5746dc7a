"""Position-wise feed-forward network."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from wenet_lite.model.dropout import Dropout

ActivationType = Literal["relu", "swish", "gelu", "tanh", "hardtanh", "selu"]
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "swish": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "hardtanh": nn.Hardtanh,
    "selu": nn.SELU,
}


def build_activation(kind: ActivationType) -> nn.Module:
    """The non-linearity that WeNet calls so."""
    return _ACTIVATIONS[kind]()


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
        out: Tensor = self.w_2(self.dropout(self.activation(self.w_1(x))))
        return out
