"""Heads on intermediate encoder layers: 3M's multi-level training (arXiv 2204.03178)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from wenet_lite.model.ctc import Ctc
from wenet_lite.model.decoder import TransformerDecoder, TransformerDecoderConfig


@dataclass(frozen=True)
class MultiLevelConfig:
    """Heads on intermediate layers, for training (3M, arXiv 2204.03178; intermediate CTC, arXiv 2102.03216).

    Attributes:
        layers: encoder layers, counted from 1, whose output a CTC head and a decoder of their own read.
        ctc_weight: share of their mean CTC loss in the model's.
        attention_weight: share of their mean attention loss in the model's.
        decoder_num_blocks: layers of their decoders; 0 for CTC heads alone.
        self_conditioning: the layers above hear the posteriors of these CTC heads (arXiv 2104.02724), which then belong
            to the encoder and are shipped with it.
    """

    layers: tuple[int, ...]
    ctc_weight: float = 0.3
    attention_weight: float = 0.3
    decoder_num_blocks: int = 1
    self_conditioning: bool = False

    def __post_init__(self) -> None:
        if not self.layers or list(self.layers) != sorted(set(self.layers)) or self.layers[0] < 1:
            raise ValueError("layers must be ascending numbers from 1")
        if not (0 < self.ctc_weight < 1 and 0 <= self.attention_weight < 1):
            raise ValueError("ctc_weight and attention_weight must lie between 0 and 1")


class AuxiliaryHead(nn.Module):
    """A CTC head and a decoder on an intermediate layer, either of which may be absent."""

    def __init__(self, levels: MultiLevelConfig, decoder: TransformerDecoderConfig, dim: int, vocab_size: int) -> None:
        super().__init__()
        blocks = levels.decoder_num_blocks
        own_ctc = not levels.self_conditioning
        self.norm = nn.LayerNorm(dim) if own_ctc or blocks else None
        self.ctc = Ctc(dim, vocab_size) if own_ctc else None
        self.decoder = TransformerDecoder(decoder, dim, vocab_size, blocks) if blocks else None
