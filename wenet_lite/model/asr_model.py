"""U2: one encoder under a CTC head and an attention decoder, trained jointly."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from wenet_lite.model.ctc import Ctc
from wenet_lite.model.decoder import (
    BiTransformerDecoder,
    TransformerDecoder,
    TransformerDecoderConfig,
    reversed_tokens,
)
from wenet_lite.model.encoder import Encoder, EncoderConfig
from wenet_lite.model.losses import PAD, consistency_loss, ctc_loss, label_smoothing_loss, token_accuracy

BLANK_ID = 0
SOS_ID = EOS_ID = 2
"""`<sos/eos>` of units.txt."""


@dataclass(frozen=True)
class MultiLevelConfig:
    """Heads on intermediate layers, for training only (3M, arXiv 2204.03178; intermediate CTC, arXiv 2102.03216).

    Attributes:
        layers: encoder layers, counted from 1, whose output a CTC head and a decoder of their own read.
        ctc_weight: share of their mean CTC loss in the model's.
        attention_weight: share of their mean attention loss in the model's.
        decoder_num_blocks: layers of their decoders; 0 for CTC heads alone.
    """

    layers: tuple[int, ...]
    ctc_weight: float = 0.3
    attention_weight: float = 0.3
    decoder_num_blocks: int = 1

    def __post_init__(self) -> None:
        if not self.layers or len(set(self.layers)) < len(self.layers) or min(self.layers) < 1:
            raise ValueError("layers must be different numbers from 1")
        if not (0 < self.ctc_weight < 1 and 0 <= self.attention_weight < 1):
            raise ValueError("ctc_weight and attention_weight must lie between 0 and 1")


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


@dataclass(frozen=True)
class Losses:
    """Losses of a micro-batch, one value an utterance, each (batch,).

    Attributes:
        total: what is minimised.
        parts: its terms by name, and the token accuracy of the left-to-right decoder; see `AsrModel.loss_parts`.
    """

    total: Tensor
    parts: dict[str, Tensor]


class AuxiliaryHead(nn.Module):
    """A CTC head and a decoder on an intermediate layer."""

    def __init__(self, config: ModelConfig, vocab_size: int, num_blocks: int) -> None:
        super().__init__()
        dim = config.encoder.output_size
        self.norm = nn.LayerNorm(dim)
        self.ctc = Ctc(dim, vocab_size)
        self.decoder = TransformerDecoder(config.decoder, dim, vocab_size, num_blocks) if num_blocks else None


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
        levels = config.multi_level
        heads = levels.layers if levels else ()
        self.auxiliary = nn.ModuleList(
            [AuxiliaryHead(config, vocab_size, levels.decoder_num_blocks) for _ in heads if levels]
        )

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
        """Names of what `Losses.parts` of `forward` holds."""
        levels = self.config.multi_level
        names = ["ctc", "attention", *(["attention_reverse"] if self.right_decoder else []), "accuracy"]
        for layer in levels.layers if levels else ():
            names.append(f"ctc_layer{layer}")
            if levels and levels.decoder_num_blocks:
                names.append(f"attention_layer{layer}")
        return tuple(names)

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
        return self._losses(features, lens, targets, target_lens, chunk_size, num_left_chunks)[0]

    def consistent_losses(
        self,
        views: tuple[Tensor, Tensor],
        lens: Tensor,
        targets: Tensor,
        target_lens: Tensor,
        chunk_size: int = -1,
        num_left_chunks: int = -1,
    ) -> Losses:
        """Losses of two augmented views of a micro-batch: the means of both, and their consistency as part `cr_ctc`.

        Args:
            views: the features of each, (batch, frames, bins).
            lens, targets, target_lens, chunk_size, num_left_chunks: as for `forward`, the same for both.
        """
        both, log_probs, encoder_lens = self._losses(
            torch.cat(views), lens.repeat(2), targets.repeat(2, 1), target_lens.repeat(2), chunk_size, num_left_chunks
        )
        first, second = log_probs.chunk(2)
        consistency = consistency_loss(first, second, encoder_lens[: len(lens)])
        parts = {name: _mean_of_views(values) for name, values in both.parts.items()}
        total = _mean_of_views(both.total) + self.config.cr_ctc_weight * consistency
        return Losses(total, {**parts, "cr_ctc": consistency})

    def _losses(
        self,
        features: Tensor,
        lens: Tensor,
        targets: Tensor,
        target_lens: Tensor,
        chunk_size: int,
        num_left_chunks: int,
    ) -> tuple[Losses, Tensor, Tensor]:
        """The losses, (batch, frames, vocab) CTC log posteriors and (batch,) valid encoder frames."""
        levels = self.config.multi_level
        encoder_out, encoder_lens, intermediate = self.encoder.forward_levels(
            features, lens, chunk_size, num_left_chunks, list(levels.layers) if levels else []
        )
        log_probs = self.ctc(encoder_out)
        ctc = ctc_loss(log_probs, encoder_lens, targets, target_lens)
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
        parts["accuracy"] = token_accuracy(logits.detach(), outputs)
        if levels is not None:
            auxiliary = self._auxiliary_losses(intermediate, encoder_lens, targets, target_lens)
            ctc = _shared(ctc, auxiliary, "ctc", levels.ctc_weight)
            attention = _shared(attention, auxiliary, "attention", levels.attention_weight)
            parts.update(auxiliary)
        total = self.config.ctc_weight * ctc + (1 - self.config.ctc_weight) * attention
        return Losses(total, parts), log_probs, encoder_lens

    def _auxiliary_losses(
        self, intermediate: list[Tensor], lens: Tensor, targets: Tensor, target_lens: Tensor
    ) -> dict[str, Tensor]:
        """Losses of the heads on intermediate layers, by name, each (batch,)."""
        assert self.config.multi_level is not None
        tokens, outputs = self.add_sos_eos(targets, target_lens)
        losses = {}
        for layer, x, head in zip(self.config.multi_level.layers, intermediate, self.auxiliary):
            assert isinstance(head, AuxiliaryHead)
            x = head.norm(x)
            losses[f"ctc_layer{layer}"] = ctc_loss(head.ctc(x), lens, targets, target_lens)
            if head.decoder is not None:
                logits = head.decoder(x, lens, tokens, target_lens + 1)
                losses[f"attention_layer{layer}"] = label_smoothing_loss(logits, outputs, self.config.lsm_weight)
        return losses

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


def _mean_of_views(values: Tensor) -> Tensor:
    first, second = values.chunk(2)
    return (first + second) / 2


def _shared(loss: Tensor, auxiliary: dict[str, Tensor], kind: str, weight: float) -> Tensor:
    """A loss with `weight` of it given to the mean of the auxiliary losses of its kind, if there are any."""
    others = [value for name, value in auxiliary.items() if name.startswith(f"{kind}_")]
    return (1 - weight) * loss + weight * torch.stack(others).mean(dim=0) if others else loss


def count_parameters(model: nn.Module) -> int:
    """Number of trained values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def required_encoder_frames(tokens: list[int]) -> int:
    """Fewest encoder frames that a CTC alignment of `tokens` needs: one a token, one blank between equal neighbours."""
    return len(tokens) + sum(a == b for a, b in zip(tokens, tokens[1:]))
