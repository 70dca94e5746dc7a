"""What a recogniser runs: the weights, the TorchScript file or the ONNX files of a model directory, and where."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from wenet_lite.decoding.acoustic_model import AcousticModel
from wenet_lite.decoding.precision import autocast, require_precision
from wenet_lite.decoding.recognition_options import Precision
from wenet_lite.errors import ConfigError
from wenet_lite.features.fbank import Fbank
from wenet_lite.runtime.cpu import prepare_for_cpu
from wenet_lite.runtime.model_dir import WEIGHTS, ModelDir, load_model
from wenet_lite.runtime.scripted_model import ScriptedModel
from wenet_lite.text.tokenizer import Tokenizer, load_tokenizer
from wenet_lite.transfer import choose_device

BackendName = Literal["pytorch", "torchscript", "onnx"]
RuntimePrecision = Literal["float32", "bfloat16", "float16", "int8"]


@dataclass(frozen=True)
class Backend:
    """A model that is ready to compute.

    Attributes:
        model: in float32 or int8.
        fbank: its front end, on the device.
        tokenizer: its units and text rules.
        device: of the computation.
        dtype: of the products of matrices; int8 is in the model itself.
    """

    model: AcousticModel
    fbank: Fbank
    tokenizer: Tokenizer
    device: torch.device
    dtype: RuntimePrecision

    @property
    def precision(self) -> Precision:
        """Of the products that are not int8."""
        return "float32" if self.dtype == "int8" else self.dtype

    def autocast(self) -> AbstractContextManager[None]:
        """Products of matrices in the block have the backend's precision."""
        return autocast(self.precision, self.device)


def padded_waveforms(samples: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Several (samples,) float32 as (batch, samples), padded by zeros, and (batch,) valid samples; on the host."""
    num_samples = torch.tensor([len(each) for each in samples])
    waveforms = torch.zeros(len(samples), int(num_samples.max()))
    for row, each in zip(waveforms, samples):
        row[: len(each)] = torch.from_numpy(each)
    return waveforms, num_samples


def load_backend(
    model_dir: str | os.PathLike[str], name: BackendName, device_name: str, dtype: RuntimePrecision
) -> Backend:
    """Load what `export` has written.

    Args:
        model_dir: the model directory.
        name: pytorch: the weights; torchscript: `model.zip` or `model.int8.zip`; onnx: the files of `onnx/`.
        device_name: cpu or cuda.
        dtype: of the products of matrices.
    Raises:
        ConfigError: if the directory is none, or lacks what is asked for, or the choices do not go together.
        CheckpointError: if a file was changed since it was written, or does not fit.
    """
    device = choose_device(device_name, 0)
    if device.type == "cuda" and (dtype == "int8" or name == "onnx"):
        raise ConfigError("int8 and onnx run on the CPU", cure="take float16 or bfloat16 with pytorch on a GPU")
    if name != "pytorch" and dtype in ("bfloat16", "float16"):
        raise ConfigError(f"{dtype} needs the PyTorch weights", cure="take --backend pytorch")
    require_precision(dtype, device)
    folder = ModelDir(model_dir)
    config = folder.description.model.shipped
    tokenizer = load_tokenizer(folder.path)
    model: AcousticModel
    if name == "pytorch":
        trained = load_model(folder.description, folder.file(WEIGHTS), folder.path).model.to(device)
        if device.type == "cpu" and dtype in ("float32", "int8"):  # oneDNN's layouts are of float32 alone
            prepare_for_cpu(trained, int8=dtype == "int8")
        model = trained
    elif name == "torchscript":
        model = ScriptedModel(folder.file("model.int8.zip" if dtype == "int8" else "model.zip"), config, device)
    else:
        from wenet_lite.runtime.onnx_model import OnnxModel

        model = OnnxModel(folder.file, config, int8=dtype == "int8")
    return Backend(model, Fbank(folder.description.features).eval().to(device), tokenizer, device, dtype)
