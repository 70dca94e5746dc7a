"""sherpa-onnx, a foreign program, hears what we hear."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from exported_model import SHORT_HISTORY, ExportedModel, untrained
from speech_model import SpeechModel
from toy import Toy

from wenet_lite.data.audio import read_audio
from wenet_lite.data.utterance import Utterance
from wenet_lite.decoding.batch_recognizer import BatchRecognizer
from wenet_lite.decoding.options import DecodingOptions
from wenet_lite.decoding.recognition_options import RecognitionOptions
from wenet_lite.errors import ConfigError
from wenet_lite.features.fbank import FRAME_LENGTH, FRAME_SHIFT, num_frames
from wenet_lite.runtime.export.agreement import CheckedAudio
from wenet_lite.runtime.export.onnx_export import export_onnx
from wenet_lite.runtime.export.sherpa_export import export_sherpa
from wenet_lite.runtime.model_dir import LoadedModel, ModelDir, load_model_dir, seal_model_dir
from wenet_lite.runtime.recognizer import Recognizer

sherpa_onnx = pytest.importorskip("sherpa_onnx")
pytest.importorskip("onnxruntime")

TAIL_S = 1.0
"""Silence after the audio: sherpa-onnx drops a last chunk that is not full."""


def sherpa_recognizer(folder: Path, num_bins: int, chunk_size: int, num_left_chunks: int, model: str = "model.onnx"):
    """With the features that the model was trained on."""
    recognizer = sherpa_onnx.OnlineRecognizer.from_wenet_ctc(
        tokens=str(folder / "sherpa/tokens.txt"),
        model=str(folder / "sherpa" / model),
        chunk_size=chunk_size,
        num_left_chunks=num_left_chunks,
        num_threads=1,
        feature_dim=num_bins,
    )
    recognizer.config.feat_config.snip_edges = True
    recognizer.config.feat_config.high_freq = 8000.0
    recognizer.recognizer = type(recognizer.recognizer)(recognizer.config)
    return recognizer


def with_tail(utterance: Utterance) -> np.ndarray:
    return np.concatenate([read_audio(utterance.wav)[0], np.zeros(int(TAIL_S * 16000), np.float32)])


def in_full_chunks(samples: np.ndarray, chunk_size: int) -> np.ndarray:
    """What sherpa-onnx decodes of it: a chunk waits for one frame more than it needs."""
    window, stride = 4 * (chunk_size - 1) + 7, 4 * chunk_size
    frames = window + (num_frames(len(samples)) - window - 1) // stride * stride
    return samples[: (frames - 1) * FRAME_SHIFT + FRAME_LENGTH]


def heard_by_sherpa(recognizer, samples: np.ndarray) -> str:
    stream = recognizer.create_stream()
    for part in np.array_split(samples, 7):
        stream.accept_waveform(16000, part)
        while recognizer.is_ready(stream):
            recognizer.decode_stream(stream)
    stream.input_finished()
    while recognizer.is_ready(stream):
        recognizer.decode_stream(stream)
    return recognizer.get_result(stream).strip()


def heard_by_us(loaded: LoadedModel, samples: np.ndarray, chunk_size: int, num_left_chunks: int) -> str:
    options = RecognitionOptions(("ctc_greedy_search",), DecodingOptions(), False, False, chunk_size, num_left_chunks)
    recognizer = BatchRecognizer(loaded.model, loaded.fbank, options, torch.device("cpu"))
    (found,) = recognizer(torch.from_numpy(samples)[None], torch.tensor([len(samples)]), options.modes)
    assert found is not None
    units = list(loaded.tokenizer.units)
    return "".join(units[token] for token in found["ctc_greedy_search"][0].tokens).replace("▁", " ").strip()


@pytest.fixture(scope="module")
def exported(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> ExportedModel:
    """With absolute positions, which an offset that is not the model's own would change."""
    model = untrained(toy, tmp_path_factory.mktemp("sherpa"), "model.encoder.pos_enc_layer_type=abs_pos")
    export_sherpa(model.loaded, model.folder, model.checked_audio, **SHORT_HISTORY)
    return model


@pytest.mark.parametrize(("chunk_size", "num_left_chunks"), [(4, 2), (8, 1)])
def test_sherpa_finds_our_greedy_tokens(exported: ExportedModel, chunk_size: int, num_left_chunks: int) -> None:
    """In the exported chunks, and in others."""
    recognizer = sherpa_recognizer(exported.folder, 20, chunk_size, num_left_chunks)
    texts = []
    for utterance in exported.utterances:
        samples, _ = read_audio(utterance.wav)
        heard = in_full_chunks(samples, chunk_size)
        texts.append(heard_by_us(exported.loaded, heard, chunk_size, num_left_chunks))
        assert heard_by_sherpa(recognizer, samples) == texts[-1]
    assert any(texts)


def test_a_model_of_whole_utterances_is_refused(toy: Toy, tmp_path: Path) -> None:
    model = untrained(toy, tmp_path, "model.encoder.use_dynamic_chunk=false")
    with pytest.raises(ConfigError, match="sherpa-onnx needs a model that streams"):
        export_sherpa(model.loaded, tmp_path, model.checked_audio)
    assert not (tmp_path / "sherpa").exists()


@pytest.mark.slow
def test_real_speech_is_heard_by_sherpa_and_by_onnxruntime(speech_model: SpeechModel, tmp_path: Path) -> None:
    folder = shutil.copytree(speech_model.model_dir, tmp_path / "model")
    loaded = load_model_dir(folder)
    audio = CheckedAudio(loaded, speech_model.utterances[:2])
    export_sherpa(loaded, folder, audio, quantize=True)
    export_onnx(loaded, folder, audio, quantize=True)
    seal_model_dir(ModelDir(folder).description, folder)
    in_float, in_int8 = (sherpa_recognizer(folder, 80, 16, 4, f"model{kind}.onnx") for kind in ("", ".int8"))
    for utterance in speech_model.utterances:
        samples = with_tail(utterance)  # in which this model, which has never heard silence, may hear something
        text = heard_by_sherpa(in_float, samples)
        assert text == heard_by_us(loaded, in_full_chunks(samples, 16), 16, 4)
        assert text.startswith(utterance.txt) and heard_by_sherpa(in_int8, samples).startswith(utterance.txt)
    for dtype in ("float32", "int8"):
        ours = Recognizer(folder, backend="onnx", dtype=dtype)
        for utterance in speech_model.utterances:
            session = ours.stream(left_chunks=4)
            session.accept(read_audio(utterance.wav)[0])
            assert ours.transcribe(utterance.wav).text == session.finish().text == utterance.txt, dtype
