"""What makes the same training faster or smaller: kernels, precision, compilation, recomputation."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch.utils.checkpoint import checkpoint

from wenet_lite.data.dataset import Batch
from wenet_lite.errors import ConfigError, WenetLiteError
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.training.cpu import train_through_onednn
from wenet_lite.training.parallel import layers_of
from wenet_lite.training.training_config import TrainingConfig

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Acceleration:
    """Set up once, around the loop.

    Args:
        config: the run's options.
        model: whose layers are changed in place.
        device: where it is.
    Raises:
        ConfigError: for options that do not go together.
    """

    def __init__(self, config: TrainingConfig, model: AsrModel, device: torch.device) -> None:
        self._config, self._device = config, device
        encoder = model.config.encoder
        with_batch_norm = encoder.convolves and encoder.cnn_module_norm == "batch_norm"
        for name, wanted in (
            ("gradient_checkpointing", config.gradient_checkpointing),
            ("distribution fsdp", config.distribution == "fsdp"),
        ):
            if wanted and with_batch_norm:
                raise ConfigError(
                    f"training.{name} does not go with batch norm, whose statistics would move twice",
                    cure="set model.encoder.cnn_module_norm: layer_norm",
                )
        if config.distribution == "fsdp" and config.optimizer.type == "novograd":
            raise ConfigError("novograd does not know shared out tensors", cure="set training.distribution: ddp")
        if config.deterministic and device.type == "cuda":
            raise ConfigError(
                "training.deterministic has no gradient of CTC on a GPU",
                cure="leave it out, or train with --device cpu",
            )
        if config.deterministic:
            torch.use_deterministic_algorithms(True)
        if config.tf32:
            torch.set_float32_matmul_precision("high")
        if device.type == "cpu":
            train_through_onednn(model)
        if config.gradient_checkpointing:
            for layer in model.encoder.encoders:
                layer.forward = functools.partial(checkpoint, layer.forward, use_reentrant=False)
        if config.compile:
            # One layer's code serves all of them, with and without chunks, gradients and a batch of one.
            torch._dynamo.config.recompile_limit = 64
            for layer in layers_of(model):
                layer.compile(dynamic=True)

    @property
    def scales(self) -> bool:
        """Whether losses are to be scaled."""
        return self._config.precision == "float16"

    def autocast(self) -> AbstractContextManager[None]:
        """Products of matrices in the block have the precision of the configuration."""
        dtype = _DTYPES[self._config.precision]
        return torch.autocast(self._device.type, dtype, enabled=dtype is not torch.float32)

    @contextmanager
    def explain_memory(self, batch: Batch | None = None) -> Iterator[None]:
        """Turn a lack of memory in the block into one line: it computes on a batch, or moves the weights."""
        try:
            yield
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "not enough memory" not in str(error):
                raise
            if batch is None:
                raise WenetLiteError(
                    f"out of memory on {self._device} where the optimiser moves the weights",
                    cure="lower batch.max_frames, or share the moments out by training.distribution=fsdp",
                ) from error
            count, samples = batch.waveforms.shape
            raise WenetLiteError(
                f"out of memory on {self._device} with {count} utterances of up to {samples / SAMPLE_RATE:.1f} s and "
                f"{batch.tokens.shape[1]} tokens",
                cure="lower batch.max_frames, or set training.gradient_checkpointing=true",
            ) from error
