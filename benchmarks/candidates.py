"""The models that benchmarks compare, ours and WeNet's of the same configuration, and streams through each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from wenet_lite.experiment import ExperimentConfig, read_experiment
from wenet_lite.model.asr_model import EOS_ID, SOS_ID, AsrModel

CONF = Path(__file__).resolve().parents[1] / "conf"
VOCAB_SIZE = 5002
CHUNK_SIZE = 16
HISTORY = 4 * CHUNK_SIZE
"""Encoder frames of the past that a chunk looks at."""


def experiment(name: str) -> ExperimentConfig:
    return read_experiment(CONF / name)


def wenet_model(config: ExperimentConfig) -> nn.Module:
    """WeNet's model of a configuration of ours."""
    from wenet.models.transformer.asr_model import ASRModel
    from wenet.models.transformer.cmvn import GlobalCMVN
    from wenet.models.transformer.ctc import CTC
    from wenet.models.transformer.decoder import BiTransformerDecoder
    from wenet.models.transformer.encoder import ConformerEncoder

    bins, encoder, decoder = config.features.num_mel_bins, config.model.encoder, config.model.decoder
    torch.manual_seed(config.seed)
    return ASRModel(
        vocab_size=VOCAB_SIZE,
        encoder=ConformerEncoder(
            bins,
            output_size=encoder.output_size,
            attention_heads=encoder.attention_heads,
            linear_units=encoder.linear_units,
            num_blocks=encoder.num_blocks,
            cnn_module_kernel=encoder.cnn_module_kernel,
            cnn_module_norm=encoder.cnn_module_norm,
            causal=encoder.causal,
            use_dynamic_chunk=encoder.use_dynamic_chunk,
            dropout_rate=encoder.dropout_rate,
            positional_dropout_rate=encoder.positional_dropout_rate,
            attention_dropout_rate=encoder.attention_dropout_rate,
            global_cmvn=GlobalCMVN(torch.zeros(bins), torch.ones(bins)),
        ),
        decoder=BiTransformerDecoder(
            VOCAB_SIZE,
            encoder.output_size,
            attention_heads=decoder.attention_heads,
            linear_units=decoder.linear_units,
            num_blocks=decoder.num_blocks,
            r_num_blocks=decoder.r_num_blocks,
            dropout_rate=decoder.dropout_rate,
            positional_dropout_rate=decoder.positional_dropout_rate,
            self_attention_dropout_rate=decoder.self_attention_dropout_rate,
            src_attention_dropout_rate=decoder.src_attention_dropout_rate,
        ),
        ctc=CTC(VOCAB_SIZE, encoder.output_size),
        ctc_weight=config.model.ctc_weight,
        lsm_weight=config.model.lsm_weight,
        reverse_weight=config.model.reverse_weight,
        special_tokens={"<sos>": SOS_ID, "<eos>": EOS_ID},
    )


def windows(features: Tensor, model: AsrModel) -> list[Tensor]:
    """The pieces of (1, frames, bins) features that give a chunk each."""
    stride = CHUNK_SIZE * model.encoder.embed.rate
    size = stride - model.encoder.embed.rate + model.encoder.embed.right_context + 1
    return [features[:, start : start + size] for start in range(0, features.shape[1] - size + 1, stride)]


def stream(model: AsrModel, pieces: list[Tensor]) -> None:
    """Through the encoder's own streaming: caches of a fixed shape."""
    cache = model.encoder.empty_cache(1, HISTORY, pieces[0])
    for piece in pieces:
        _, _, cache = model.encoder.forward_chunk(piece, torch.tensor([piece.shape[1]]), cache, HISTORY)


def stream_as_wenet(forward_chunk: Callable[..., tuple[Tensor, Tensor, Tensor]], pieces: list[Tensor]) -> None:
    """Through a function with WeNet's signature: caches that grow to their length."""
    attention, convolution, offset = torch.zeros(0, 0, 0, 0), torch.zeros(0, 0, 0, 0), 0
    for piece in pieces:
        out, attention, convolution = forward_chunk(piece, offset, HISTORY, attention, convolution)
        offset += out.shape[1]
