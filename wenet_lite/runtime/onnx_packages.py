"""What ONNX needs and nothing else does."""

from __future__ import annotations

import importlib

from wenet_lite.errors import ConfigError


def require_packages(*names: str) -> None:
    """Make sure that optional packages are there.

    Raises:
        ConfigError: naming the first that is not.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            message = f"ONNX needs the package {name}, which is not installed"
            raise ConfigError(message, cure="pip install onnx onnxscript onnxruntime") from error
