"""Position-wise feed-forward network."""

from __future__ import annotations

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
        out: Tensor = self.w_2(self.dropout(self.activation(self.w_1(x))))
        return out
