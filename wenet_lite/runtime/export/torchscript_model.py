"""The model as WeNet's C++ runtime calls it, for TorchScript."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.cache import EncoderCache
from wenet_lite.model.decoder import reversed_tokens


class TorchScriptModel(nn.Module):
    """One stream at a time, with the method names, shapes and meanings of WeNet's `torch_asr_model.cc`.

    An adapter: the encoder's own streaming state is batched, this one is WeNet's.

    Args:
        model: a trained model; its parameters are shared, not copied.
    """

    def __init__(self, model: AsrModel) -> None:
        super().__init__()
        self.encoder = model.encoder
        self.ctc = model.ctc
        self.decoder = model.left_decoder
        self.right_decoder = model.right_decoder
        self.sos_id, self.eos_id = model.sos_id, model.eos_id
        self.rate, self.look_ahead = model.encoder.embed.rate, model.encoder.embed.right_context

    @torch.jit.export
    def subsampling_rate(self) -> int:
        """Feature frames an encoder frame."""
        return self.rate

    @torch.jit.export
    def right_context(self) -> int:
        """Feature frames that an encoder frame sees after its first."""
        return self.look_ahead

    @torch.jit.export
    def sos_symbol(self) -> int:
        """Id of the start symbol."""
        return self.sos_id

    @torch.jit.export
    def eos_symbol(self) -> int:
        """Id of the end symbol."""
        return self.eos_id

    @torch.jit.export
    def is_bidirectional_decoder(self) -> bool:
        """Whether `forward_attention_decoder` also scores right to left."""
        return self.right_decoder is not None

    @torch.jit.export
    def forward_encoder_chunk(
        self, xs: Tensor, offset: int, required_cache_size: int, att_cache: Tensor, cnn_cache: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Encode the next chunk of a stream.

        Args:
            xs: (1, frames, bins) features of the chunk and its right context.
            offset: encoder frames put out so far.
            required_cache_size: frames of history to keep; negative keeps all, 0 none.
            att_cache: (layers, heads, cache_frames, 2 * d_k), or a tensor without elements at the start.
            cnn_cache: (layers, 1, dim, kernel - 1), or a tensor without elements at the start and where there is no
                causal convolution.
        Returns:
            (1, encoder_frames, dim) and the two caches for the next call.
        """
        cache = self.encoder.empty_cache(1, 0, xs)
        attention, convolution = cache.attention, cache.convolution
        if att_cache.numel() > 0:
            attention = att_cache.unsqueeze(1)
        if cnn_cache.numel() > 0:
            convolution = cnn_cache
        frames = attention.shape[3]
        cache = EncoderCache(
            attention, convolution, torch.full_like(cache.lens, frames), torch.full_like(cache.lens, offset)
        )
        keys = frames + max((xs.shape[1] - self.look_ahead - 1) // self.rate + 1, 0)
        keep = keys if required_cache_size < 0 else min(keys, required_cache_size)
        lens = torch.full_like(cache.lens, xs.shape[1])
        encoder_out, out_lens, cache = self.encoder.forward_chunk(xs, lens, cache, keep)
        encoder_out = encoder_out[:, : int(out_lens[0])]  # none where there were too few frames for the front end
        convolution = cache.convolution
        if convolution.numel() == 0:
            convolution = convolution.new_zeros(convolution.shape[0], 0, 0, 0)
        return encoder_out, cache.attention.squeeze(1), convolution

    @torch.jit.export
    def ctc_activation(self, xs: Tensor) -> Tensor:
        """(1, frames, dim) encoder output to (1, frames, vocab) log posteriors."""
        return self.ctc(xs)

    @torch.jit.export
    def forward_attention_decoder(
        self, hyps: Tensor, hyps_lens: Tensor, encoder_out: Tensor, reverse_weight: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Score hypotheses of one utterance.

        Args:
            hyps: (hypotheses, length + 1) tokens, the start symbol first.
            hyps_lens: (hypotheses,) valid tokens, start symbol included.
            encoder_out: (1, frames, dim).
            reverse_weight: 0 spares the right-to-left decoder.
        Returns:
            (hypotheses, length + 1, vocab) log probabilities of each next token, and the same of the reversed
            hypotheses; a scalar 0 where there is no such decoder, or none is wanted.
        """
        memory = encoder_out.expand(hyps.shape[0], -1, -1)
        memory_lens = torch.full_like(hyps_lens, encoder_out.shape[1])
        logits = self.decoder(memory, memory_lens, hyps, hyps_lens)
        reverse = torch.zeros([], device=logits.device)
        if self.right_decoder is not None and reverse_weight > 0:
            reversed_hyps = torch.cat([hyps[:, :1], reversed_tokens(hyps[:, 1:], hyps_lens - 1)], dim=1)
            reverse = self.right_decoder(memory, memory_lens, reversed_hyps, hyps_lens).float().log_softmax(dim=-1)
        return logits.float().log_softmax(dim=-1), reverse
