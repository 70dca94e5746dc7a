"""A tiny model whose decoders have opinions; scores of sequences token by token, and by torch's own CTC loss."""

import itertools

import torch
from torch import Tensor

from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.decoder import TransformerDecoder, TransformerDecoderConfig
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.model_config import ModelConfig

WORDS = (1, 3, 4)
"""Tokens of a vocabulary of 5 that are neither the blank nor the end symbol."""


def make_model(vocab: int = 5, seed: int = 0, r_num_blocks: int = 0) -> AsrModel:
    torch.manual_seed(seed)
    encoder = EncoderConfig(
        output_size=8, attention_heads=2, linear_units=16, num_blocks=1, subsampling_channels=2, cnn_module_kernel=3
    )
    decoder = TransformerDecoderConfig(2, 16, 1, r_num_blocks)
    model = AsrModel(ModelConfig(encoder, decoder, reverse_weight=0.4 if r_num_blocks else 0.0), 20, vocab)
    for parameter in model.decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return model.eval()


def attention_score(
    model: AsrModel,
    memory: torch.Tensor,
    tokens: tuple[int, ...],
    ended: bool = True,
    decoder: TransformerDecoder | None = None,
) -> float:
    """log p(tokens[, end] | memory), token by token, by the left-to-right decoder if no other is given."""
    decoder = decoder or model.left_decoder
    total, prefix = 0.0, [model.sos_id]
    for token in [*tokens, *([model.eos_id] if ended else [])]:
        logits = decoder(memory[None], torch.tensor([len(memory)]), torch.tensor([prefix]), torch.tensor([len(prefix)]))
        total += float(logits[0, -1].log_softmax(-1)[token])
        prefix.append(token)
    return total


def ctc_score(log_probs: Tensor, tokens: tuple[int, ...]) -> float:
    """log p(tokens | x), by torch's own loss."""
    frames, targets = torch.tensor([len(log_probs)]), torch.tensor([len(tokens)])
    loss = torch.nn.functional.ctc_loss(
        log_probs.double().unsqueeze(1), torch.tensor([tokens], dtype=torch.long), frames, targets, reduction="none"
    )
    return -float(loss)


def sequences(longest: int) -> list[tuple[int, ...]]:
    """All of up to so many WORDS."""
    return [tokens for length in range(longest + 1) for tokens in itertools.product(WORDS, repeat=length)]
