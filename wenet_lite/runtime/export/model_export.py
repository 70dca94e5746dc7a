"""Export of a trained model to a model directory, each format checked before it is left behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from wenet_lite.data.utterance import Utterance
from wenet_lite.errors import ConfigError
from wenet_lite.runtime.export.agreement import CheckedAudio
from wenet_lite.runtime.export.onnx_export import export_onnx
from wenet_lite.runtime.export.program_export import export_program
from wenet_lite.runtime.export.sherpa_export import export_sherpa
from wenet_lite.runtime.export.torchscript_export import export_torchscript
from wenet_lite.runtime.model_dir import LoadedModel, ModelDescription, new_folder, write_model_dir

ExportFormat = Literal["torchscript", "onnx", "sherpa", "program"]


def export_model(
    loaded: LoadedModel,
    description: ModelDescription,
    source: Path,
    target: Path,
    formats: Sequence[ExportFormat],
    check_audio: Sequence[Utterance],
    *,
    quantize: bool = False,
) -> None:
    """Write a model directory with the weights and exported forms of the model.

    Args:
        loaded: the model.
        description: of `model.yaml`.
        source: the experiment directory.
        target: folder to make; replaced as a whole once all is written and checked.
        formats: forms to write.
        check_audio: recordings on which each form must agree with the eager model.
        quantize: int8 beside float32; the program has none.
    Raises:
        ExportError: if an exported model differs from the model.
        ConfigError: if `target` would replace `source`, or a package is missing.
    """
    if not check_audio:
        raise ConfigError("an export is checked on recordings, and there are none")
    with new_folder(target, source) as folder:
        audio = CheckedAudio(loaded, check_audio)
        if "torchscript" in formats:
            export_torchscript(loaded, folder, audio, quantize=quantize)
        if "onnx" in formats:
            export_onnx(loaded, folder, audio, quantize=quantize)
        if "sherpa" in formats:
            export_sherpa(loaded, folder, audio, quantize=quantize)
        if "program" in formats:
            export_program(loaded, folder, audio)
        write_model_dir(loaded, description, source, folder)
