"""The small model of real speech says the right words, however it is asked."""

from pathlib import Path

import numpy as np
import pytest
from speech_model import SpeechModel

from wenet_lite.bin import recognize
from wenet_lite.data.audio import read_audio
from wenet_lite.data.kaldi import read_table
from wenet_lite.runtime.backend import BackendName
from wenet_lite.runtime.recognizer import Recognizer

MODES = ("ctc_greedy_search", "ctc_prefix_beam_search", "attention_rescoring")


@pytest.mark.slow
def test_every_search_hears_the_exact_words(speech_model: SpeechModel, tmp_path: Path) -> None:
    expected = {utterance.key: utterance.txt for utterance in speech_model.utterances}
    arguments = ["--exp-dir", str(speech_model.exp_dir), "--checkpoint", str(speech_model.exp_dir / "avg_1.pt")]
    arguments += ["--data", str(speech_model.data_list), "--device", "cpu", "--num-workers", "0", "--modes", *MODES]
    for number, chunks in enumerate(([], [16, 4], [16, -1], [8, 4])):
        options = [f"{name}={value}" for name, value in zip(("--chunk-size", "--left-chunks"), chunks)]
        assert recognize.main([*arguments, *options, "--result-dir", str(tmp_path / str(number))]) == 0
        texts = sorted((tmp_path / str(number)).glob("*/text"))
        assert [read_table(path) for path in texts] == [expected] * len(MODES), chunks


@pytest.mark.slow
def test_streams_hear_the_exact_words(speech_model: SpeechModel) -> None:
    recognizer = Recognizer(speech_model.model_dir)
    for utterance in speech_model.utterances:
        assert recognizer.transcribe(utterance.wav).text == utterance.txt
        for chunk_ms in (640, 320):
            session = recognizer.stream(chunk_ms=chunk_ms, left_chunks=4)
            for portion in np.array_split(read_audio(utterance.wav)[0], 7):
                session.accept(portion)
            assert session.finish().text == utterance.txt


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["pytorch", "torchscript"])
def test_int8_hears_the_exact_words(speech_model: SpeechModel, backend: BackendName) -> None:
    recognizer = Recognizer(speech_model.model_dir, backend=backend, dtype="int8")
    whole = recognizer.transcribe([utterance.wav for utterance in speech_model.utterances])
    assert [transcript.text for transcript in whole] == [utterance.txt for utterance in speech_model.utterances]
    for utterance in speech_model.utterances:
        session = recognizer.stream(left_chunks=4)
        session.accept(read_audio(utterance.wav)[0])
        assert session.finish().text == utterance.txt
