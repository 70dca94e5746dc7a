"""A server for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from live_server import LiveServer, live_server
from toy import Toy

from wenet_lite.data.manifest import read_manifest
from wenet_lite.runtime.recognizer import Recognizer


@pytest.fixture(scope="session")
def served_model(toy: Toy, toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model directory of the toy model."""
    from wenet_lite.bin import export

    target = tmp_path_factory.mktemp("served") / "toy"
    arguments = ["--exp-dir", str(toy_model), "--checkpoint", str(toy_model / "avg_2.pt"), "--output", str(target)]
    assert export.main([*arguments, "--check-data", str(toy.folder / "dev/data.list")]) == 0
    return target


@pytest.fixture(scope="session")
def local(served_model: Path) -> Recognizer:
    """The model without a server."""
    return Recognizer(served_model)


@pytest.fixture(scope="session")
def server(served_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server whose limits are soon reached."""
    limits = "--max-stream-s 60 --max-file-s 60 --max-upload-bytes 3000000 --max-hotwords 5 --max-message-bytes 400000"
    log = tmp_path_factory.mktemp("server") / "log"
    with live_server(served_model, log, *limits.split(), "--max-unheard-s", "2") as running:
        yield running


@pytest.fixture(scope="session")
def wavs(toy: Toy) -> list[Path]:
    """Recordings of the toy corpus."""
    return [Path(utterance.wav) for utterance in read_manifest(toy.folder / "dev/data.list")]


@pytest.fixture(scope="session")
def songs(wavs: list[Path]) -> list[np.ndarray]:
    """Their (samples,) int16."""
    return [soundfile.read(wav, dtype="int16")[0] for wav in wavs]
