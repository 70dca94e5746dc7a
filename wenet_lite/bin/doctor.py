"""Versions and checks for a bug report."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
from collections.abc import Sequence

from wenet_lite import __version__
from wenet_lite.bin import command

_PACKAGES = (
    "torch",
    "torchaudio",
    "numpy",
    "soundfile",
    "numba",
    "soxr",
    "sentencepiece",
    "pyyaml",
    "jiwer",
    "aiohttp",
    "prometheus_client",
    "tensorboardX",
    "tqdm",
)
_MODULES = {"pyyaml": "yaml"}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite doctor`; exit status 1 if a package is missing or does not import."""
    command.Parser(prog="doctor", description=__doc__).parse_args(argv)
    print(
        f"wenet_lite {__version__}, Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores"
    )
    broken = 0
    for package in _PACKAGES:
        try:
            version = importlib.metadata.version(package)
            importlib.import_module(_MODULES.get(package, package))
        except importlib.metadata.PackageNotFoundError:
            print(f"{package}: missing (pip install -r requirements.txt)")
            broken += 1
        except (ImportError, OSError) as error:
            reason = str(error).splitlines()[0]
            hint = " (install the torchaudio that matches torch)" if package == "torchaudio" else ""
            print(f"{package} {version}: does not import: {reason}{hint}")
            broken += 1
        else:
            print(f"{package} {version}")
    _describe_devices()
    return 1 if broken else 0


def _describe_devices() -> None:
    try:
        import torch
    except (ImportError, OSError):
        return
    for index in range(torch.cuda.device_count()):
        print(f"GPU {index}: {torch.cuda.get_device_name(index)}, bf16 {torch.cuda.is_bf16_supported()}")
    if not torch.cuda.is_available():
        print("no GPU")


if __name__ == "__main__":
    raise SystemExit(command.run(main))
