"""The exported TorchScript file as an acoustic model."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from wenet_lite.decoding.acoustic_model import FrontEnd, TreeDecoder
from wenet_lite.errors import CheckpointError
from wenet_lite.model.asr_model import BLANK_ID
from wenet_lite.model.cache import EncoderCache
from wenet_lite.model.input_check import check_chunk, check_utterances
from wenet_lite.model.model_config import ModelConfig


class ScriptedModel:
    """A file of `wenet_lite.runtime.export.torchscript_model`: beside WeNet's methods it holds encoder and decoders.

    Args:
        path: of the file.
        config: of the model in it.
        device: to compute on.
    Raises:
        CheckpointError: if torch cannot read the file.
    """

    def __init__(self, path: Path, config: ModelConfig, device: torch.device) -> None:
        try:
            self._scripted = torch.jit.load(str(path), map_location=device)
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            raise CheckpointError(f"is no TorchScript file: {reason}", path=path, cure="export it again") from error
        self.config = config
        self.encoder = ScriptedEncoder(self._scripted.encoder)
        self.blank_id = BLANK_ID
        self.sos_id, self.eos_id = self._scripted.sos_symbol(), self._scripted.eos_symbol()
        self.left_decoder: TreeDecoder = self._scripted.decoder
        self.right_decoder: TreeDecoder | None = None
        if self._scripted.is_bidirectional_decoder():
            self.right_decoder = self._scripted.right_decoder

    def ctc_log_probs(self, encoder_out: Tensor) -> Tensor:
        """(batch, frames, dim) to (batch, frames, vocab) log posteriors."""
        return self._scripted.ctc(encoder_out)


class ScriptedEncoder:
    """Its encoder.

    Args:
        scripted: `wenet_lite.model.encoder.Encoder`, scripted.
    """

    def __init__(self, scripted: torch.jit.ScriptModule) -> None:
        self._scripted = scripted
        self.dim: int = scripted.dim
        self.input_dim: int = scripted.input_dim
        self.embed: FrontEnd = scripted.embed

    def __call__(
        self, features: Tensor, lens: Tensor, chunk_size: int = -1, num_left_chunks: int = -1
    ) -> tuple[Tensor, Tensor]:
        """As `Encoder.forward`."""
        check_utterances(features, lens, self.input_dim, self.embed.right_context + 1, finite=True)
        return self._scripted(features, lens, chunk_size, num_left_chunks)

    def empty_cache(self, batch_size: int, cache_frames: int, like: Tensor) -> EncoderCache:
        """As `Encoder.empty_cache`."""
        return EncoderCache(*self._scripted.empty_cache(batch_size, cache_frames, like))

    def forward_chunk(
        self, features: Tensor, lens: Tensor, cache: EncoderCache, next_cache_frames: int
    ) -> tuple[Tensor, Tensor, EncoderCache]:
        """As `Encoder.forward_chunk`."""
        check_chunk(features, lens, self.input_dim, self.embed.right_context + 1, next_cache_frames)
        out, out_lens, next_cache = self._scripted.advance(features, lens, cache, next_cache_frames)
        return out, out_lens, EncoderCache(*next_cache)
