"""U2: one encoder under a CTC head and an attention decoder, trained jointly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from wenet_lite.model.ctc import Ctc, SelfConditioning
from wenet_lite.model.decoder import (
    BiTransformerDecoder,
    TransformerDecoder,
    reversed_tokens,
)
from wenet_lite.model.encoder import Activations, Encoder
from wenet_lite.model.losses import (
    PAD,
    consistency_loss,
    ctc_loss,
    has_no_alignment,
    label_smoothing_loss,
    token_accuracy,
)
from wenet_lite.model.mask import padding_mask
from wenet_lite.model.mixture import expert_counts, routing_losses
from wenet_lite.model.model_config import ModelConfig
from wenet_lite.model.multi_level import AuxiliaryHead

BLANK_ID = 0
SOS_ID = EOS_ID = 2
"""`<sos/eos>` of units.txt."""


@dataclass(frozen=True)
class Losses:
    """Losses of a micro-batch, one value an utterance, each (batch,).

    Attributes:
        total: what is minimised.
        parts: its terms by name; `accuracy`, that of the left-to-right decoder's tokens; and `no_alignment`, 1 where
            the transcript is too long for CTC, whose loss is then 0. See `AsrModel.loss_parts`. Losses of routing are
            those of the whole micro-batch.
        expert_counts: (layers with experts, experts) frames that each was given; None without experts.
    """

    total: Tensor
    parts: dict[str, Tensor]
    expert_counts: Tensor | None = None


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
        levels, moe = config.multi_level, config.encoder.moe
        conditioned = levels.layers if levels and levels.self_conditioning else ()
        self.encoder = Encoder(config.encoder, input_dim, conditioned, vocab_size)
        self.ctc = Ctc(dim, vocab_size)
        self.decoder: TransformerDecoder | BiTransformerDecoder
        if config.decoder.r_num_blocks:
            self.decoder = BiTransformerDecoder(config.decoder, dim, vocab_size)
        else:
            self.decoder = TransformerDecoder(config.decoder, dim, vocab_size, config.decoder.num_blocks)
        heads = levels.layers if levels else ()
        self.auxiliary = nn.ModuleList(
            [AuxiliaryHead(levels, config.decoder, dim, vocab_size) for _ in heads if levels]
        )
        self.embedding_ctc = Ctc(dim, vocab_size) if moe and moe.embedding_ctc_weight else None

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
        levels, moe = self.config.multi_level, self.config.encoder.moe
        names = ["ctc", "attention", *(["attention_reverse"] if self.right_decoder else []), "accuracy", "no_alignment"]
        for layer in levels.layers if levels else ():
            names.append(f"ctc_layer{layer}")
            if levels and levels.decoder_num_blocks:
                names.append(f"attention_layer{layer}")
        if self.embedding_ctc is not None:
            names.append("ctc_embedding")
        return (*names, "sparsity", "importance") if moe else tuple(names)

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
        return Losses(total, {**parts, "cr_ctc": consistency}, both.expert_counts)

    def losses_and_posteriors(
        self, features: Tensor, lens: Tensor, targets: Tensor, target_lens: Tensor
    ) -> tuple[Losses, Tensor, Tensor]:
        """Losses of a micro-batch with full context, and what CTC has heard in it.

        Args:
            features, lens, targets, target_lens: as for `forward`.
        Returns:
            the losses, (batch, frames, vocab) CTC log posteriors and (batch,) valid encoder frames.
        """
        return self._losses(features, lens, targets, target_lens, -1, -1)

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
        encoded = self.encoder.activations(
            features, lens, chunk_size, num_left_chunks, list(levels.layers) if levels else []
        )
        log_probs = self.ctc(encoded.out)
        ctc = ctc_loss(log_probs, encoded.lens, targets, target_lens)
        inputs, outputs = self.add_sos_eos(targets, target_lens)
        logits = self.left_decoder(encoded.out, encoded.lens, inputs, target_lens + 1)
        attention = label_smoothing_loss(logits, outputs, self.config.lsm_weight)
        parts = {"ctc": ctc, "attention": attention}
        if self.right_decoder is not None:
            inputs, of_right = self.add_sos_eos(reversed_tokens(targets, target_lens), target_lens)
            reverse = self.right_decoder(encoded.out, encoded.lens, inputs, target_lens + 1)
            parts["attention_reverse"] = label_smoothing_loss(reverse, of_right, self.config.lsm_weight)
            weight = self.config.reverse_weight
            attention = (1 - weight) * attention + weight * parts["attention_reverse"]
        parts["accuracy"] = token_accuracy(logits.detach(), outputs)
        parts["no_alignment"] = has_no_alignment(encoded.lens, targets, target_lens).float()
        if levels is not None:
            auxiliary = self._auxiliary_losses(encoded, targets, target_lens)
            ctc = _shared(ctc, auxiliary, "ctc", levels.ctc_weight)
            attention = _shared(attention, auxiliary, "attention", levels.attention_weight)
            parts.update(auxiliary)
        total = self.config.ctc_weight * ctc + (1 - self.config.ctc_weight) * attention
        moe = self.config.encoder.moe
        if moe is None:
            return _of_heard(Losses(total, parts), encoded.lens), log_probs, encoded.lens
        routing, counts = self._routing_losses(encoded, targets, target_lens)
        total = total + moe.sparsity_weight * routing["sparsity"] + moe.importance_weight * routing["importance"]
        if self.embedding_ctc is not None:
            total = total + moe.embedding_ctc_weight * routing["ctc_embedding"]
        return _of_heard(Losses(total, {**parts, **routing}, counts), encoded.lens), log_probs, encoded.lens

    def _auxiliary_losses(self, encoded: Activations, targets: Tensor, target_lens: Tensor) -> dict[str, Tensor]:
        """Losses of the heads on intermediate layers, by name, each (batch,)."""
        assert self.config.multi_level is not None
        tokens, outputs = self.add_sos_eos(targets, target_lens)
        losses = {}
        for layer, x, head in zip(self.config.multi_level.layers, encoded.levels, self.auxiliary):
            assert isinstance(head, AuxiliaryHead)
            conditioning = self.encoder.conditioning[layer - 1]
            if isinstance(conditioning, SelfConditioning):
                log_probs = conditioning.log_probs(x)
            else:
                assert head.ctc is not None and head.norm is not None
                log_probs = head.ctc(head.norm(x))
            losses[f"ctc_layer{layer}"] = ctc_loss(log_probs, encoded.lens, targets, target_lens)
            if head.decoder is not None:
                assert head.norm is not None
                logits = head.decoder(head.norm(x), encoded.lens, tokens, target_lens + 1)
                losses[f"attention_layer{layer}"] = label_smoothing_loss(logits, outputs, self.config.lsm_weight)
        return losses

    def _routing_losses(
        self, encoded: Activations, targets: Tensor, target_lens: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of the mixture of experts, by name, each (batch,), and the frames of each expert of each layer."""
        moe = self.config.encoder.moe
        assert moe is not None
        mask = padding_mask(encoded.lens, encoded.out.shape[1])
        by_layer = [torch.stack(routing_losses(probabilities, mask)) for probabilities in encoded.routing]
        sparsity, importance = torch.stack(by_layer).sum(dim=0)
        losses = {"sparsity": sparsity.expand(len(targets)), "importance": importance.expand(len(targets))}
        if self.embedding_ctc is not None:
            log_probs = self.embedding_ctc(encoded.embedding)
            losses["ctc_embedding"] = ctc_loss(log_probs, encoded.lens, targets, target_lens)
        counts = [expert_counts(probabilities, mask, moe.top_k) for probabilities in encoded.routing]
        return losses, torch.stack(counts)

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


def _of_heard(losses: Losses, lens: Tensor) -> Losses:
    """The losses, 0 for utterances without an encoder frame; that they have no alignment is still told."""
    silent = lens == 0
    parts = {
        name: value if name == "no_alignment" else value.masked_fill(silent, 0.0)
        for name, value in losses.parts.items()
    }
    return replace(losses, total=losses.total.masked_fill(silent, 0.0), parts=parts)


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
