"""Recordings of any length, in constant memory, with the words of their parts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor
from toy import ROOT, Toy, sing
from toy_model import make_untrained

from wenet_lite.data.audio_source import AudioFile
from wenet_lite.data.segments import PauseCutter
from wenet_lite.decoding.batch_recognizer import BatchRecognizer, Work
from wenet_lite.decoding.decoder import Decoder
from wenet_lite.decoding.long_audio import LongAudioRecognizer
from wenet_lite.decoding.options import DecodingMode, DecodingOptions, Hypothesis
from wenet_lite.decoding.recognition_options import RecognitionOptions
from wenet_lite.experiment import read_experiment
from wenet_lite.runtime.model_dir import ModelDescription, load_model

UNIT = 640
NOTES = (300, 500, 800, 1200, 1700, 2300, 3000)
MODES: tuple[DecodingMode, ...] = ("ctc_greedy_search", "attention")


def options(**values: object) -> RecognitionOptions:
    return RecognitionOptions(MODES, DecodingOptions(), **values)


class Ear(BatchRecognizer):
    """Recognises notes by their frequencies, and what it hears in the first and last 0.2 s wrongly."""

    def __init__(self, recognition: RecognitionOptions) -> None:
        self.options, self.device, self.work = recognition, torch.device("cpu"), Work()

    frame_samples = UNIT

    def __call__(self, waveforms: Tensor, num_samples: Tensor, modes: object) -> list[dict]:
        found = [self.listen(row[:n].numpy()) for row, n in zip(waveforms, num_samples.tolist())]
        return [{"ctc_greedy_search": [hyp], "attention": [Hypothesis(hyp.tokens, hyp.score)]} for hyp in found]

    def listen(self, samples: np.ndarray) -> Hypothesis:
        frames = samples[: len(samples) // UNIT * UNIT].reshape(-1, UNIT)
        spectra = np.abs(np.fft.rfft(frames * np.hanning(UNIT)))
        loudest = np.abs(spectra.argmax(1)[:, None] * 25 - np.array(NOTES)).argmin(1)
        loudest = np.where(np.square(frames).mean(1) > 1e-3, loudest + 3, 0)
        starts = [t for t in range(len(loudest)) if loudest[t] and (t == 0 or loudest[t] != loudest[t - 1])]
        wrong = [t < 5 or t >= len(loudest) - 5 for t in starts]
        tokens = [3 if bad else int(loudest[t]) for t, bad in zip(starts, wrong)]
        return Hypothesis(tuple(tokens), -1.0, tuple(starts))


def song(seconds: float, pauses: bool) -> tuple[np.ndarray, list[int]]:
    """A melody without equal neighbours, and its tokens."""
    random = np.random.default_rng(2)
    notes = [1]
    for _ in range(int(seconds / (0.4 if pauses else 0.2))):
        notes.append(int(random.choice([note for note in range(1, len(NOTES)) if note != notes[-1]])))
    tones = [0.3 * np.sin(2 * np.pi * NOTES[note] * np.arange(5 * UNIT) / 16000) for note in notes]
    rest = np.zeros(5 * UNIT * 2)
    pieces = [piece for i, tone in enumerate(tones) for piece in ([tone, rest] if pauses and i % 2 else [tone])]
    return np.concatenate(pieces).astype(np.float32), [note + 3 for note in notes]


@pytest.mark.parametrize("pauses", [True, False])
@pytest.mark.parametrize("most", [8.0, 13.3])
def test_segments_give_the_tokens_of_the_whole(tmp_path: Path, pauses: bool, most: float) -> None:
    samples, tokens = song(150, pauses)
    soundfile.write(tmp_path / "song.flac", samples, 16000)
    ear = Ear(options(max_segment_seconds=most))
    found = LongAudioRecognizer(ear)(AudioFile(str(tmp_path / "song.flac")), None, None)
    cuts = list(PauseCutter(int(most * 16000), 4 * 16000, UNIT)([samples]))
    assert len(cuts) > 10 and all((cut.shared == 0) == pauses for cut in cuts[1:])
    for mode in MODES:
        # the recording's own first and last note
        assert list(found[mode][0].tokens[1:-1]) == tokens[1:-1], mode
    assert list(found["ctc_greedy_search"][0].times) == sorted(found["ctc_greedy_search"][0].times)
    assert found["attention"][0].times == ()
    assert ear.work.audio_seconds == pytest.approx(len(samples) / 16000)


@torch.no_grad()
def test_a_stream_of_any_length_is_heard_as_a_whole(toy: Toy, tmp_path: Path) -> None:
    """CTC's best path is that of one pass with masks, token by token and frame by frame."""
    exp_dir = make_untrained(toy, tmp_path)
    config = read_experiment(exp_dir / "train.yaml")
    loaded = load_model(ModelDescription(config.features, config.model), exp_dir / "model.pt", exp_dir)
    model, fbank = loaded.model, loaded.fbank
    random = np.random.default_rng(3)
    samples = np.concatenate([sing([tuple(random.choice(NOTES, 2)) for _ in range(5)], random) for _ in range(20)])
    soundfile.write(tmp_path / "song.wav", samples, 16000, "FLOAT")
    features, lens = fbank(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    encoded = model.encoder(features, lens, 4, 2)
    (whole,) = Decoder(model, DecodingOptions())(*encoded, ["ctc_greedy_search"])["ctc_greedy_search"][0]
    wanted = options(chunk_size=4, num_left_chunks=2, max_segment_seconds=8.0)
    recognizer = LongAudioRecognizer(BatchRecognizer(model, fbank, wanted, torch.device("cpu")))
    (found,) = recognizer(AudioFile(str(tmp_path / "song.wav")), None, None)["ctc_greedy_search"]
    assert len(found.tokens) > 50 and found.tokens == whole.tokens
    assert max(abs(a - b) for a, b in zip(found.times, whole.times)) <= 1
    assert found.score == pytest.approx(whole.score, rel=1e-4)


@pytest.mark.parametrize("chunks", [{}, {"chunk_size": 4, "num_left_chunks": 2}])
def test_words_have_their_times_in_the_recording(toy: Toy, tmp_path: Path, chunks: dict[str, int]) -> None:
    """Greedy search hears CTC's best path, so the alignment of its tokens has their peaks."""
    exp_dir = make_untrained(toy, tmp_path)
    config = read_experiment(exp_dir / "train.yaml")
    loaded = load_model(ModelDescription(config.features, config.model), exp_dir / "model.pt", exp_dir)
    samples, _ = song(40, pauses=True)
    soundfile.write(tmp_path / "song.wav", samples, 16000, "FLOAT")
    wanted = options(max_segment_seconds=8.0, words=True, **chunks)
    recognizer = LongAudioRecognizer(BatchRecognizer(loaded.model, loaded.fbank, wanted, torch.device("cpu")))
    (found,) = recognizer(AudioFile(str(tmp_path / "song.wav")), None, None)["ctc_greedy_search"]
    spans = [span for span in found.spans if span is not None]
    assert len(found.tokens) > 50 and [span.token for span in spans] == list(found.tokens)
    assert all(span.start <= time < span.end for span, time in zip(spans, found.times))


@pytest.mark.slow
@pytest.mark.parametrize("chunks", [(), ("--chunk-size", "8", "--left-chunks", "4")])
def test_memory_does_not_grow_with_the_recording(toy: Toy, tmp_path: Path, chunks: tuple[str, ...]) -> None:
    exp_dir = make_untrained(toy, tmp_path / "exp")
    peaks = []
    for minutes in (5, 50):
        path = tmp_path / f"{minutes}.wav"
        samples, _ = song(60, pauses=True)
        with soundfile.SoundFile(path, "w", 16000, 1) as file:
            for _ in range(minutes):
                file.write(samples[: 60 * 16000])
        utterance = {"key": "long", "wav": str(path), "txt": "", "duration": 60 * minutes, "schema": 1}
        utterance |= {"num_samples": 960000 * minutes, "sample_rate": 16000}
        path.with_suffix(".list").write_text(json.dumps(utterance) + "\n")
        arguments = ["--exp-dir", exp_dir, "--checkpoint", exp_dir / "model.pt", "--data", path.with_suffix(".list")]
        arguments += ["--result-dir", tmp_path / "out", "--modes", "ctc_greedy_search", "--device", "cpu", *chunks]
        module = [sys.executable, "-m", "wenet_lite.bin.recognize", *map(str, arguments)]
        _, status, usage = os.wait4(subprocess.Popen(module, cwd=ROOT).pid, 0)
        assert status == 0
        peaks.append(usage.ru_maxrss / 1024)
    assert peaks[1] < peaks[0] + 30, f"{peaks} MB"
