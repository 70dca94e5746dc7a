"""Sizes, options and loss weights of the whole model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from wenet_lite.model.decoder import TransformerDecoderConfig
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.multi_level import MultiLevelConfig

TRAINING_ONLY = ("auxiliary.", "embedding_ctc.")
"""Beginnings of the names of weights that `ModelConfig.shipped` does without."""


@dataclass(frozen=True)
class ModelConfig:
    """Attributes:
    encoder, decoder: their sizes and options.
    ctc_weight: share of the CTC loss; the attention decoder has the rest.
    lsm_weight: label smoothing of the attention decoder.
    reverse_weight: share of the right-to-left decoder in the attention loss.
    multi_level: heads on intermediate layers in training; null for none.
    cr_ctc_weight: weight of the consistency between two views of an utterance in training (CR-CTC); 0 makes one view.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: TransformerDecoderConfig = field(default_factory=TransformerDecoderConfig)
    ctc_weight: float = 0.3
    lsm_weight: float = 0.1
    reverse_weight: float = 0.0
    multi_level: MultiLevelConfig | None = None
    cr_ctc_weight: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.ctc_weight <= 1.0:
            raise ValueError(f"ctc_weight {self.ctc_weight} is not between 0 and 1")
        if not 0.0 <= self.lsm_weight < 1.0:
            raise ValueError(f"lsm_weight {self.lsm_weight} is not from 0 to less than 1")
        if self.cr_ctc_weight < 0:
            raise ValueError(f"cr_ctc_weight {self.cr_ctc_weight} is negative")
        if not 0.0 <= self.reverse_weight <= 1.0:
            raise ValueError(f"reverse_weight {self.reverse_weight} is not between 0 and 1")
        if (self.reverse_weight > 0) != (self.decoder.r_num_blocks > 0):
            raise ValueError("reverse_weight and decoder.r_num_blocks go together: both are 0, or neither")
        if self.multi_level and max(self.multi_level.layers) >= self.encoder.num_blocks:
            raise ValueError(f"multi_level.layers must come before layer {self.encoder.num_blocks}, the last")
        if self.encoder.output_size % (2 * self.decoder.attention_heads):
            raise ValueError("encoder.output_size is not a multiple of twice decoder.attention_heads")

    @property
    def shipped(self) -> ModelConfig:
        """The configuration without what only training needs."""
        levels, moe = self.multi_level, self.encoder.moe
        kept = replace(levels, decoder_num_blocks=0) if levels and levels.self_conditioning else None
        encoder = replace(self.encoder, moe=replace(moe, embedding_ctc_weight=0.0)) if moe else self.encoder
        return replace(self, encoder=encoder, multi_level=kept)
