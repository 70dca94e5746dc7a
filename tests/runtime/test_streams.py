"""Streams: whatever the portions, the types, the company and the length, the text is the same and nothing is lost."""

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from toy import Toy

from wenet_lite.bin import export
from wenet_lite.data.audio import as_float, read_audio
from wenet_lite.data.manifest import read_manifest
from wenet_lite.errors import ConfigError, InputError
from wenet_lite.runtime.backend import BackendName, RuntimePrecision
from wenet_lite.runtime.recognizer import Recognizer
from wenet_lite.runtime.transcript import Transcript

HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))


@dataclass(frozen=True)
class Heard:
    """A recogniser of melodies, and some with their texts."""

    recognizer: Recognizer
    folder: Path
    melodies: list[np.ndarray]
    texts: list[str]


@pytest.fixture(scope="module")
def heard(toy: Toy, toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Heard:
    target = tmp_path_factory.mktemp("streams") / "model"
    arguments = ["--exp-dir", str(toy_model), "--checkpoint", str(toy_model / "avg_2.pt"), "--output", str(target)]
    formats = ["torchscript", *(["onnx"] if HAS_ONNX else [])]
    check = ["--check-data", str(toy.folder / "dev/data.list")]
    assert export.main([*arguments, *check, "--format", *formats, "--quantize"]) == 0
    utterances = read_manifest(toy.folder / "dev/data.list")[:6]
    recognizer = Recognizer(target)
    melodies = [read_audio(utterance.wav)[0] for utterance in utterances]
    return Heard(recognizer, target, melodies, [alone(recognizer, melody) for melody in melodies])


def alone(recognizer: Recognizer, samples: np.ndarray) -> str:
    session = recognizer.stream()
    session.accept(samples)
    return session.finish().text


@pytest.mark.parametrize("seed", range(6))
def test_streams_that_step_together_are_heard_as_if_alone(heard: Heard, seed: int) -> None:
    random, recognizer, stepper = np.random.default_rng(seed), heard.recognizer, heard.recognizer.stepper()
    streams, expected, waiting = [], [], []
    for melody in heard.melodies:
        options = {
            "chunk_ms": int(random.choice([160, 320, 640])),
            "left_chunks": int(random.choice([-1, 1, 4])),
            "hotwords": ["sol"] if random.random() < 0.5 else [],
        }
        session = recognizer.stream(**options)
        session.accept(melody)
        expected.append(session.finish())
        streams.append(recognizer.open_stream(**options))
        cuts = random.integers(0, len(melody), size=random.integers(0, 6))
        waiting.append(np.split(melody, np.sort(cuts))[::-1])
    while not all(stream.ended for stream in streams):
        for stream, portions in zip(streams, waiting):
            if not portions:
                stream.end()
            elif random.random() < 0.5:
                stream.accept(portions.pop())
        stepper.step(streams)
    for stream, transcript in zip(streams, expected):
        (together,) = stream.take()
        assert together.text == transcript.text
        assert together.score == pytest.approx(transcript.score, abs=1e-3)
        assert [word.start_s for word in together.words] == [word.start_s for word in transcript.words]


@pytest.mark.parametrize("backend", ["torchscript", "onnx"])
def test_every_backend_gives_the_same_text_and_scores(heard: Heard, backend: BackendName) -> None:
    if backend == "onnx":
        pytest.importorskip("onnxruntime")
    other = Recognizer(heard.folder, backend=backend)
    assert [alone(other, melody) for melody in heard.melodies] == heard.texts
    whole, again = (recognizer.transcribe(heard.melodies) for recognizer in (heard.recognizer, other))
    assert [transcript.text for transcript in again] == [transcript.text for transcript in whole]
    assert [t.score for t in again] == pytest.approx([t.score for t in whole], abs=1e-3)


@pytest.mark.parametrize("backend", ["pytorch", "torchscript"])
def test_int8_scores_are_near(heard: Heard, backend: BackendName) -> None:
    int8 = Recognizer(heard.folder, backend=backend, dtype="int8")
    whole, again = (recognizer.transcribe(heard.melodies) for recognizer in (heard.recognizer, int8))
    assert [t.score for t in again] == pytest.approx([t.score for t in whole], rel=0.1)


def test_an_exported_model_says_what_it_cannot_search(heard: Heard) -> None:
    with pytest.raises(ConfigError, match="cannot be searched by attention"):
        Recognizer(heard.folder, backend="torchscript").transcribe(heard.melodies[0], mode="attention")


def test_a_form_that_was_not_exported_is_named(heard: Heard, tmp_path: Path) -> None:
    shutil.copytree(heard.folder, tmp_path / "model")
    description = (tmp_path / "model/model.yaml").read_text().splitlines(keepends=True)
    (tmp_path / "model/model.yaml").write_text("".join(line for line in description if "model.zip" not in line))
    with pytest.raises(ConfigError, match="was not exported"):
        Recognizer(tmp_path / "model", backend="torchscript")


def test_torchaudio_is_not_needed(heard: Heard) -> None:
    """Nor the packages of training and of servers."""
    code = f"""
import sys
for name in ("torchaudio", "tensorboardX", "matplotlib", "aiohttp", "onnx"):
    sys.modules[name] = None
import numpy as np
from wenet_lite.runtime.recognizer import Recognizer
recognizer = Recognizer({str(heard.folder)!r})
session = recognizer.stream()
session.accept(np.zeros(16000, np.int16))
print(recognizer.transcribe(np.zeros(16000)).duration, session.finish().duration)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1.0", "1.0"]


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float64])
def test_samples_of_any_type_are_taken(heard: Heard, kind: type) -> None:
    scale = np.iinfo(kind).max + 1 if issubclass(kind, np.integer) else 1
    samples = (heard.melodies[0].astype(np.float64) * scale).astype(kind)
    np.testing.assert_allclose(as_float(samples), heard.melodies[0], atol=1e-4)
    assert alone(heard.recognizer, samples) == heard.texts[0]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.array([0.0, np.nan]), "NaN or infinite"),
        (np.zeros((2, 8)), "one channel"),
        (np.array(["a"]), "integers or floats"),
    ],
)
def test_what_is_no_audio_is_refused(heard: Heard, samples: np.ndarray, message: str) -> None:
    session = heard.recognizer.stream()
    with pytest.raises(InputError, match=message):
        session.accept(samples)
    session.accept(heard.melodies[0])
    assert session.finish().text == heard.texts[0]
    with pytest.raises(InputError, match="has ended"):
        session.accept(heard.melodies[0])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_on_a_cpu_hears_about_the_same(heard: Heard, dtype: RuntimePrecision) -> None:
    """Its features are float32, whose energies float16 could not hold."""
    half = Recognizer(heard.folder, dtype=dtype)
    for melody in heard.melodies:
        for whole in (True, False):
            one, other = (transcribed(recognizer, melody, whole) for recognizer in (half, heard.recognizer))
            assert one.score == pytest.approx(other.score, rel=0.02)


def transcribed(recognizer: Recognizer, samples: np.ndarray, whole: bool) -> Transcript:
    if whole:
        return recognizer.transcribe(samples)
    session = recognizer.stream()
    session.accept(samples)
    return session.finish()
