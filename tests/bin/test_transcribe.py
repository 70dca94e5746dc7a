"""What `wenet-lite transcribe` prints, where, and with which exit status."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from speech_model import SpeechModel
from toy import ROOT, Toy
from toy_model import make_untrained

from wenet_lite.bin import export, transcribe
from wenet_lite.data.audio import read_audio
from wenet_lite.data.manifest import read_manifest
from wenet_lite.runtime.endpoint import Endpointing
from wenet_lite.runtime.recognizer import Recognizer

TIME_LIMIT_S = 120
ERASE_LINE = "\r\x1b[K"
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def model(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model directory; what it hears is always something."""
    folder = tmp_path_factory.mktemp("transcribe")
    exp_dir = make_untrained(toy, folder / "exp")
    arguments = ["--exp-dir", str(exp_dir), "--checkpoint", str(exp_dir / "model.pt"), "--num-check", "1"]
    assert export.main([*arguments, "--check-data", str(toy.folder / "dev/data.list"), "--output", f"{folder}/m"]) == 0
    return f"{folder}/m"


@pytest.fixture
def wavs(toy: Toy) -> list[str]:
    return [utterance.wav for utterance in read_manifest(toy.folder / "dev/data.list")[:2]]


def start(*arguments: str, **options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "wenet_lite.bin.transcribe", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, cwd=ROOT, preexec_fn=_heed_interrupts, **options)


def _heed_interrupts() -> None:
    """As in a terminal: what a shell runs in the background ignores Ctrl-C, and so do its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def int16(path: str) -> np.ndarray:
    return (read_audio(path)[0] * 32767).astype("<i2")


def test_one_file_is_its_text_alone_and_several_are_named(model: str, wavs: list[str], capsys: Capture) -> None:
    texts = [Recognizer(model).transcribe(wav).text for wav in wavs]
    assert all(texts)
    assert transcribe.main([model, wavs[0]]) == 0
    assert capsys.readouterr().out == f"{texts[0]}\n"
    assert transcribe.main([model, *wavs]) == 0
    assert capsys.readouterr().out == "".join(f"{wav}: {text}\n" for wav, text in zip(wavs, texts))


def test_the_search_and_its_hotwords_are_those_asked_for(
    model: str, wavs: list[str], tmp_path: Path, capsys: Capture
) -> None:
    recognizer = Recognizer(model)
    (tmp_path / "phrases").write_text("DD\t20\nFA\n")
    phrases = ["SOL", ("DD", 20.0), "FA"]
    expected = recognizer.transcribe(wavs[0], mode="ctc_prefix_beam_search", hotwords=phrases).text
    without_score = recognizer.transcribe(wavs[0], mode="ctc_prefix_beam_search", hotwords=["SOL", "DD", "FA"]).text
    assert "DD" in expected and expected != without_score
    hotwords = ["--hotword", "SOL", "--hotwords-file", str(tmp_path / "phrases")]
    assert transcribe.main([model, wavs[0], "--mode", "ctc_prefix_beam_search", *hotwords]) == 0
    assert capsys.readouterr().out == f"{expected}\n"


def test_what_fails_is_named_and_the_others_are_done(
    model: str, wavs: list[str], tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "calls/monday").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    shutil.copy(wavs[0], tmp_path / "calls/monday/1.wav")
    (tmp_path / "calls/2.wav").write_text("no audio")
    out = tmp_path / "out"
    folders = [str(tmp_path / "calls"), str(tmp_path / "empty")]
    for options in ([], ["--streaming"]):
        assert transcribe.main([model, *folders, "--output-dir", str(out), "--format", "json", *options]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert f"transcribe: {tmp_path}/empty: holds no audio files\n" in captured.err
        assert f"transcribe: {tmp_path}/calls/2.wav: cannot be decoded" in captured.err
        assert [path.name for path in out.rglob("*.*")] == ["1.jsonl"]
        lines = (out / "monday/1.jsonl").read_text().splitlines()
        assert json.loads(lines[0])["key"] == f"{tmp_path}/calls/monday/1.wav"
        shutil.rmtree(out)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "give audio files or folders"),
        (["a.wav", "--microphone"], "--microphone takes no audio files"),
        (["a.wav", "-"], "standard input goes alone"),
        (["a.wav", "--encoding", "f32le"], "--sample-rate and --encoding are of raw standard input"),
        (["-", "--sample-rate", "0"], "--sample-rate must be from 1000 to 1000000"),
        (["a.wav", "--chunk-ms", "320"], "--chunk-ms and --left-chunks are of streams: give --streaming"),
        (["a.wav", "--left-chunks", "4"], "--chunk-ms and --left-chunks are of streams"),
        (["a.wav", "--streaming", "--mode", "attention"], "--mode attention is of whole recordings"),
        (["--mode", "ctc_greedy_search", "--lm", "a.wav"], "ctc_greedy_search hears neither --lm nor hotwords"),
        (["a.wav", "--threads", "0"], "--threads must be at least 1"),
    ],
)
def test_options_that_would_be_ignored_are_refused(arguments: list[str], reason: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stopped:
        transcribe.main(["model", *arguments])
    assert stopped.value.code == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--streaming", "--chunk-ms", "160", "--left-chunks", "2"]])
def test_raw_standard_input_is_heard_as_the_file_is(
    model: str, wavs: list[str], options: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, recognizer = int16(wavs[0]), Recognizer(model)
    if options:
        session = recognizer.stream(chunk_ms=160, left_chunks=2, endpointing=Endpointing())
        session.accept(samples)
        expected = session.finish().text
    else:
        expected = recognizer.transcribe(samples).text
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(samples.tobytes())))
    assert transcribe.main([model, "-", *options]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{expected}\n"
    assert captured.err.count(" s  ") >= bool(options)


def test_the_microphone_needs_its_package(model: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from wenet_lite.bin import command

    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert command.run(transcribe.main, [model, "--microphone"]) == 1
    expected = "transcribe: --microphone needs sounddevice (pip install sounddevice)\n"
    assert capsys.readouterr().err == expected


def test_the_microphone_is_heard_until_it_is_interrupted(
    model: str, wavs: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = int16(wavs[0])

    class InputStream:
        def __init__(self, *, samplerate: int, callback: object, **options: object) -> None:
            assert samplerate == 16000
            callback(samples[:, None], len(samples), None, None)

        def __enter__(self) -> None:
            return None

        def __exit__(self, *error: object) -> None:
            return None

    class Queue(list):
        put = list.append

        def get(self) -> np.ndarray:
            if not self:
                raise KeyboardInterrupt
            return self.pop(0)

    device = SimpleNamespace(query_devices=lambda kind: {"default_samplerate": 16000.0}, PortAudioError=OSError)
    monkeypatch.setitem(sys.modules, "sounddevice", SimpleNamespace(**vars(device), InputStream=InputStream))
    monkeypatch.setattr("queue.SimpleQueue", Queue)
    with pytest.raises(KeyboardInterrupt):
        transcribe.main([model, "--microphone"])
    session = Recognizer(model).stream(endpointing=Endpointing())
    session.accept(samples)
    assert capsys.readouterr().out == f"{session.finish().text}\n"


def test_an_interrupted_stream_prints_what_was_heard(model: str, wavs: list[str]) -> None:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with start(model, "-", "--streaming", "--format", "srt", **pipes) as process:
        process.stdin.write(int16(wavs[0]).tobytes())
        process.stdin.flush()
        assert b" s  " in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(TIME_LIMIT_S) == 130
        assert process.stdout.read().startswith(b"1\n00:00:00,")
        assert b"Traceback" not in process.stderr.read()


def test_a_reader_that_has_read_enough_is_no_error(model: str, wavs: list[str]) -> None:
    with start(model, *wavs, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(TIME_LIMIT_S) == 0


def on_a_terminal(*arguments: str) -> tuple[str, str]:
    """Standard output of a command whose standard error is a terminal, and what that showed."""
    terminal, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("4H", 25, 100, 0, 0))  # 100 columns
    with start(*arguments, stdout=subprocess.PIPE, stderr=side) as process:
        os.close(side)
        out = process.stdout.read().decode()
        assert process.wait(TIME_LIMIT_S) == 0
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:  # Linux tells so that nobody has the other side any more
        pass
    os.close(terminal)
    return out, shown.decode()


@pytest.mark.slow
def test_a_terminal_shows_real_words_in_one_line_while_they_are_said(speech_model: SpeechModel) -> None:
    utterance = speech_model.utterances[0]
    out, shown = on_a_terminal(str(speech_model.model_dir), utterance.wav, "--streaming", "--chunk-ms", "320")
    assert out == f"{utterance.txt}\n"
    partials = [text for text in shown.split(ERASE_LINE) if text]
    assert len(partials) > 3 and "\n" not in shown and shown.endswith(ERASE_LINE)
    assert partials[-1].split()[:5] == utterance.txt.split()[:5]


def test_a_terminal_shows_partial_results_and_then_the_progress_of_files(model: str, wavs: list[str]) -> None:
    out, shown = on_a_terminal(model, *wavs, "--streaming")
    assert out.count("\n") >= 2 and shown.count(ERASE_LINE) > 2 and shown.endswith(ERASE_LINE)
    out, shown = on_a_terminal(model, *wavs)
    assert out.count("\n") == 2 and "2/2" in shown
