"""Mixture of experts: a router sends each frame to a few of many feed-forward networks (3M's multi-path)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wenet_lite.model.dropout import check_dropout_rates
from wenet_lite.model.feed_forward import PositionwiseFeedForward
from wenet_lite.model.input_check import is_recorded


@dataclass(frozen=True)
class MixtureConfig:
    """Experts in place of the second feed-forward network of Conformer layers (3M, arXiv 2204.03178).

    Attributes:
        num_experts: networks of `linear_units` in each such layer.
        top_k: experts that a frame goes through.
        layers: encoder layers that have experts, counted from 1; null for all.
        dropout_rate: inside the experts.
        embedding_num_blocks: Conformer layers of the shared embedding network that every router hears beside its
            layer's input (SpeechMoE2, arXiv 2111.11831); 0 for none.
        embedding_linear_units: hidden size of their feed-forward networks.
        embedding_ctc_weight: weight of the embedding network's own CTC loss in the model's, which alone teaches it;
            with 0 the routers do.
        sparsity_weight, importance_weight: weights of `routing_losses`, summed over layers, in the model's.
    """

    num_experts: int = 8
    top_k: int = 1
    layers: tuple[int, ...] | None = None
    dropout_rate: float = 0.2
    embedding_num_blocks: int = 2
    embedding_linear_units: int = 512
    embedding_ctc_weight: float = 0.01
    sparsity_weight: float = 0.15
    importance_weight: float = 0.15

    def __post_init__(self) -> None:
        check_dropout_rates(self)
        if not 1 <= self.top_k <= self.num_experts:
            raise ValueError(f"top_k must lie between 1 and num_experts {self.num_experts}")
        layers = self.layers if self.layers is not None else (1,)
        if not layers or list(layers) != sorted(set(layers)) or layers[0] < 1:
            raise ValueError("layers must be ascending numbers from 1; null has experts in all")
        if min(self.embedding_ctc_weight, self.sparsity_weight, self.importance_weight) < 0:
            raise ValueError("embedding_ctc_weight, sparsity_weight and importance_weight cannot be negative")
        if self.embedding_ctc_weight and not self.embedding_num_blocks:
            raise ValueError("embedding_ctc_weight needs an embedding network: embedding_num_blocks is 0")


class MixtureOfExperts(nn.Module):
    """The sum of `top_k` experts' outputs, each weighted by its probability; no frame is dropped.

    Frames are sorted by expert, so that each expert is one product of matrices over its own frames; an expert without
    frames costs nothing.

    Args:
        config: experts and routing.
        dim: size of a frame.
        hidden_dim: hidden size of an expert.
        activation: the experts' non-linearity.
    """

    def __init__(self, config: MixtureConfig, dim: int, hidden_dim: int, activation: nn.Module) -> None:
        super().__init__()
        self.num_experts, self.top_k = config.num_experts, config.top_k
        self.hears_embedding = config.embedding_num_blocks > 0
        self.gate = nn.Linear(2 * dim if self.hears_embedding else dim, config.num_experts, bias=False)
        self.experts = nn.ModuleList(
            [PositionwiseFeedForward(dim, hidden_dim, config.dropout_rate, activation) for _ in range(self.num_experts)]
        )

    def forward(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Route and transform.

        Args:
            x: (batch, time, dim).
            embedding: (batch, time, dim) output of the shared embedding network; empty where there is none.
        Returns:
            (batch, time, dim), and (batch, time, num_experts) probabilities, float32.
        """
        heard = torch.cat([x, embedding], dim=2) if self.hears_embedding else x
        probabilities = self.gate(heard).float().softmax(dim=-1)
        weights, chosen = probabilities.flatten(0, 1).topk(self.top_k, dim=1)
        if is_recorded():
            return self._all_experts(x, chosen, weights), probabilities
        order = chosen.flatten().argsort(stable=True)
        inputs = x.flatten(0, 1).index_select(0, torch.div(order, self.top_k, rounding_mode="floor"))
        outputs = self._experts(inputs, torch.bincount(chosen.flatten(), minlength=self.num_experts))
        by_frame = outputs.index_select(0, order.argsort()).view(-1, self.top_k, x.shape[2])
        return (by_frame * weights.to(x.dtype).unsqueeze(2)).sum(dim=1).view_as(x), probabilities

    def _all_experts(self, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """The same in a graph of fixed shapes: each expert hears all frames; weights are 0 where it was not chosen."""
        shares = torch.zeros_like(weights[:, :1]).expand(-1, self.num_experts).scatter(1, chosen, weights)
        shares = shares.to(x.dtype).view(x.shape[0], x.shape[1], self.num_experts)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            out = out + expert(x) * shares[:, :, i : i + 1]
        return out

    def _experts(self, inputs: Tensor, counts: Tensor) -> Tensor:
        """(frames, dim), sorted by expert, through the experts, given the (num_experts,) frames of each."""
        sizes: list[int] = counts.tolist()
        shares = inputs.split_with_sizes(sizes)
        outputs: list[Tensor] = []
        for i, expert in enumerate(self.experts):
            outputs.append(expert(shares[i]))
        return torch.cat(outputs)


def routing_losses(probabilities: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """What makes a router decide, and use all experts alike (SpeechMoE, arXiv 2105.03036).

    Args:
        probabilities: (batch, time, num_experts).
        mask: (batch, time), true on valid frames.
    Returns:
        the sparsity loss, from 1 where one expert has all of each frame to sqrt(num_experts), and the mean importance
        loss, from 1 where the experts' mean probabilities are equal to num_experts; scalars.
    """
    valid = mask.unsqueeze(2).to(probabilities.dtype)
    frames = valid.sum().clamp(min=1.0)
    sparsity = (probabilities.sum(2) / probabilities.norm(dim=2)).mul(valid.squeeze(2)).sum() / frames
    importance = (probabilities * valid).sum(dim=(0, 1)) / frames
    return sparsity, probabilities.shape[2] * importance.square().sum()


def expert_counts(probabilities: Tensor, mask: Tensor, top_k: int) -> Tensor:
    """(num_experts,) valid frames that each expert is given.

    Args:
        probabilities: (batch, time, num_experts).
        mask: (batch, time), true on valid frames.
        top_k: experts of a frame.
    """
    chosen = torch.zeros_like(probabilities).scatter(2, probabilities.topk(top_k, dim=2).indices, 1.0)
    return (chosen * mask.unsqueeze(2)).sum(dim=(0, 1))
