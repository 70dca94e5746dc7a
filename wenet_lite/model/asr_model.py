"""U2: one encoder under a CTC head and an attention decoder, trained jointly."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from wenet_lite.model.ctc import Ctc
from wenet_lite.model.decoder import (
    BiTransformerDecoder,
    TransformerDecoder,
    TransformerDecoderConfig,
    reversed_tokens,
)
from wenet_lite.model.encoder import Encoder, EncoderConfig
from wenet_lite.model.losses import PAD, ctc_loss, label_smoothing_loss, token_accuracy

BLANK_ID = 0
SOS_ID = EOS_ID = 2
"""`<sos/eos>` of units.txt."""


@dataclass(frozen=True)
class ModelConfig:
    """Attributes:
    encoder, decoder: their sizes and options.
    ctc_weight: share of the CTC loss; the attention decoder has the rest.
    lsm_weight: label smoothing of the attention decoder.
    reverse_weight: share of the right-to-left decoder in the attention loss.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: TransformerDecoderConfig = field(default_factory=TransformerDecoderConfig)
    ctc_weight: float = 0.3
    lsm_weight: float = 0.1
    reverse_weight: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.ctc_weight <= 1.0:
            raise ValueError(f"ctc_weight {self.ctc_weight} is not between 0 and 1")
        if not 0.0 <= self.reverse_weight <= 1.0:
            raise ValueError(f"reverse_weight {self.reverse_weight} is not between 0 and 1")
        if (self.reverse_weight > 0) != (self.decoder.r_num_blocks > 0):
            raise ValueError("reverse_weight and decoder.r_num_blocks go together: both are 0, or neither")
        if self.encoder.output_size % (2 * self.decoder.attention_heads):
            raise ValueError("encoder.output_size is not a multiple of twice decoder.attention_heads")


@dataclass(frozen=True)
class Losses:
    """Losses of a micro-batch, one value an utterance, each (batch,).

    Attributes:
        total: what is minimised.
        parts: its terms by name, and the token accuracy of the left-to-right decoder; see `AsrModel.loss_parts`.
    """

    total: Tensor
    parts: dict[str, Tensor]


class AsrModel(nn.Module):
    """Joint CTC/attention model (Watanabe et al., 2017) on a streaming encoder.

    Args:
        config: sizes and options.
        input_dim: feature bins.
        vocab_size: tokens of units.txt.
    """

    def __init__(self, config: ModelConfig, input_dim: int, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        self.blank_id, self.sos_id, self.eos_id = BLANK_ID, SOS_ID, EOS_ID
        dim = config.encoder.output_size
        self.encoder = Encoder(config.encoder, input_dim)
        self.ctc = Ctc(dim, vocab_size)
        self.decoder: TransformerDecoder | BiTransformerDecoder
        if config.decoder.r_num_blocks:
            self.decoder = BiTransformerDecoder(config.decoder, dim, vocab_size)
        else:
            self.decoder = TransformerDecoder(config.decoder, dim, vocab_size, config.decoder.num_blocks)

    @property
    def left_decoder(self) -> TransformerDecoder:
        """The decoder that reads left to right."""
        return self.decoder.left_decoder if isinstance(self.decoder, BiTransformerDecoder) else self.decoder

    @property
    def right_decoder(self) -> TransformerDecoder | None:
        """The decoder that reads right to left, in a bidirectional model."""
        return self.decoder.right_decoder if isinstance(self.decoder, BiTransformerDecoder) else None

    @property
    def loss_parts(self) -> tuple[str, ...]:
        """Names of what `Losses.parts` holds."""
        return ("ctc", "attention", *(["attention_reverse"] if self.right_decoder else []), "accuracy")

    def forward(
        self,
        features: Tensor,
        lens: Tensor,
        targets: Tensor,
        target_lens: Tensor,
        chunk_size: int = -1,
        num_left_chunks: int = -1,
    ) -> Losses:
        """Losses of a micro-batch.

        Args:
            features: (batch, frames, bins).
            lens: (batch,) valid frames.
            targets: (batch, length) tokens, padded by PAD.
            target_lens: (batch,) valid tokens.
            chunk_size, num_left_chunks: attention context, see `wenet_lite.model.mask`.
        """
        encoder_out, encoder_lens = self.encoder(features, lens, chunk_size, num_left_chunks)
        ctc = ctc_loss(self.ctc(encoder_out), encoder_lens, targets, target_lens)
        inputs, outputs = self.add_sos_eos(targets, target_lens)
        logits = self.left_decoder(encoder_out, encoder_lens, inputs, target_lens + 1)
        attention = label_smoothing_loss(logits, outputs, self.config.lsm_weight)
        parts = {"ctc": ctc, "attention": attention}
        if self.right_decoder is not None:
            inputs, of_right = self.add_sos_eos(reversed_tokens(targets, target_lens), target_lens)
            reverse = self.right_decoder(encoder_out, encoder_lens, inputs, target_lens + 1)
            parts["attention_reverse"] = label_smoothing_loss(reverse, of_right, self.config.lsm_weight)
            weight = self.config.reverse_weight
            attention = (1 - weight) * attention + weight * parts["attention_reverse"]
        total = self.config.ctc_weight * ctc + (1 - self.config.ctc_weight) * attention
        return Losses(total, {**parts, "accuracy": token_accuracy(logits.detach(), outputs)})

    def ctc_log_probs(self, encoder_out: Tensor) -> Tensor:
        """(batch, frames, dim) to (batch, frames, vocab) log posteriors."""
        return self.ctc(encoder_out)

    def add_sos_eos(self, targets: Tensor, target_lens: Tensor) -> tuple[Tensor, Tensor]:
        """Decoder inputs (start symbol first, padded by the end symbol) and outputs (end symbol last, padded by PAD).

        Args:
            targets: (batch, length), padded by PAD.
            target_lens: (batch,).
        Returns:
            two (batch, length + 1).
        """
        inputs = nn.functional.pad(targets, (1, 0), value=self.sos_id)
        inputs = inputs.masked_fill(inputs == PAD, self.eos_id)
        outputs = nn.functional.pad(targets, (0, 1), value=PAD)
        return inputs, outputs.scatter(1, target_lens.unsqueeze(1), self.eos_id)


def count_parameters(model: nn.Module) -> int:
    """Number of trained values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def required_encoder_frames(tokens: list[int]) -> int:
    """Fewest encoder frames that a CTC alignment of `tokens` needs: one a token, one blank between equal neighbours."""
    return len(tokens) + sum(a == b for a, b in zip(tokens, tokens[1:]))
