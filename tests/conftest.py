"""Fixtures that all rooms share."""

from __future__ import annotations

import os
from pathlib import Path

# Before torch is loaded: tiny models are many times faster without threads that wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from shared_folder import SHARED
from speech_model import SpeechModel, make_speech_model
from toy import Toy, make_toy


def _shared_folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: reference data are not part of the repository")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """Inputs and outputs of a small WeNet model."""
    return _shared_folder("golden")


@pytest.fixture(scope="session")
def corpora() -> Path:
    """Real speech in LibriSpeech's layout."""
    return _shared_folder("corpora")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A valid Kaldi data directory of two speakers with three utterances each."""
    folder = tmp_path / "data"
    folder.mkdir()
    utterances = [f"{speaker}-{number}" for speaker in ("ann", "bob") for number in range(3)]
    tables = {
        "utt2spk": {utterance: utterance[:3] for utterance in utterances},
        "spk2utt": {"ann": "ann-0 ann-1 ann-2", "bob": "bob-0 bob-1 bob-2"},
        "spk2gender": {"ann": "f", "bob": "m"},
        "text": {utterance: f"words of {utterance}" for utterance in utterances},
        "wav.scp": {utterance: f"/corpus/{utterance}.flac" for utterance in utterances},
        "utt2dur": {utterance: f"{number + 1}.5" for number, utterance in enumerate(utterances)},
    }
    for name, table in tables.items():
        (folder / name).write_text("".join(f"{key} {value}\n" for key, value in table.items()))
    return folder


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A toy corpus, ready for training."""
    return make_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def toy_model(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experiment directory of a model trained on the toy corpus, with `avg_2.pt`."""
    from wenet_lite.bin import average, train

    exp_dir = tmp_path_factory.mktemp("toy_exp")
    assert train.main(toy.train_arguments(exp_dir)) == 0
    assert average.main(["--exp-dir", str(exp_dir), "--num", "2", "--output", str(exp_dir / "avg_2.pt")]) == 0
    return exp_dir


@pytest.fixture(scope="session")
def speech_model(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> SpeechModel:
    """A small streaming model that says the exact words of a few utterances of real speech; for slow tests."""
    return make_speech_model(corpora, tmp_path_factory.mktemp("speech"))
