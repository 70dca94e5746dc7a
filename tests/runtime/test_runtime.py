"""The exported model and the recogniser say what the trained model says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy import Toy

from wenet_lite.bin import export, recognize, train_lm
from wenet_lite.data.audio import read_audio
from wenet_lite.data.manifest import read_manifest
from wenet_lite.decoding.fusion_tuning import FusionWeights
from wenet_lite.errors import CheckpointError, ConfigError
from wenet_lite.runtime.recognizer import Recognizer


@pytest.fixture(scope="module")
def model_dir(toy: Toy, toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("export") / "model"
    assert export.main(export_arguments(toy, toy_model, target)) == 0
    return target


def export_arguments(toy: Toy, exp_dir: Path, target: Path) -> list[str]:
    checkpoint = str(exp_dir / "avg_2.pt")
    check = str(toy.folder / "dev/data.list")
    return ["--exp-dir", str(exp_dir), "--checkpoint", checkpoint, "--output", str(target), "--check-data", check]


def read_text(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines()
    return {line.split(" ", 1)[0].strip(): line.partition(" ")[2].strip() for line in lines}


def decoded(toy: Toy, exp_dir: Path, result_dir: Path, *options: str) -> dict[str, str]:
    arguments = ["--exp-dir", str(exp_dir), "--checkpoint", str(exp_dir / "avg_2.pt"), "--device", "cpu"]
    arguments += ["--data", str(toy.folder / "dev/data.list"), "--result-dir", str(result_dir)]
    assert recognize.main([*arguments, "--modes", "attention_rescoring", *options]) == 0
    (text,) = result_dir.glob("*/text")
    return read_text(text)


def test_whole_files_give_the_text_of_recognize(toy: Toy, toy_model: Path, model_dir: Path, tmp_path: Path) -> None:
    expected = decoded(toy, toy_model, tmp_path)
    recognizer = Recognizer(model_dir)
    for utterance in read_manifest(toy.folder / "dev/data.list"):
        transcript = recognizer.transcribe(utterance.wav)
        assert transcript.text == expected[utterance.key]
        assert transcript.duration == pytest.approx(utterance.duration, abs=1e-3)


def test_streaming_gives_the_text_of_chunked_decoding(
    toy: Toy, toy_model: Path, model_dir: Path, tmp_path: Path
) -> None:
    expected = decoded(toy, toy_model, tmp_path, "--chunk-size", "4", "--left-chunks", "2")
    recognizer = Recognizer(model_dir)
    for utterance in read_manifest(toy.folder / "dev/data.list"):
        session = recognizer.stream(chunk_ms=160, left_chunks=2)
        samples, _ = read_audio(utterance.wav)
        for part in np.array_split(samples, 7):
            session.accept(part)
        assert session.finish().text == expected[utterance.key]


def test_hotwords_and_language_model_are_those_of_recognize(
    toy: Toy, toy_model: Path, model_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(model_dir, tmp_path / "model")
    folder = tmp_path / "model/lm"
    folder.mkdir()
    text = ["--text", str(toy.folder / "train/text"), "--order", "2", "--output", str(folder / "lm.arpa.gz")]
    assert train_lm.main(text) == 0
    FusionWeights(0.7, 1.5, 0.0, 0.0, 1).write(folder / "weights.json")
    (tmp_path / "hotwords").write_text("SOL\nRE MI\n")
    fused = ["--lm", str(folder / "lm.arpa.gz"), "--lm-weights", str(folder / "weights.json")]
    fused += ["--hotwords", str(tmp_path / "hotwords")]
    recognizer, phrases = Recognizer(tmp_path / "model", lm=True), ["sol", "re mi", "%"]
    whole = decoded(toy, toy_model, tmp_path / "whole", *fused)
    chunks = decoded(toy, toy_model, tmp_path / "chunks", *fused, "--chunk-size", "4", "--left-chunks", "2")
    for utterance in read_manifest(toy.folder / "dev/data.list"):
        assert recognizer.transcribe(utterance.wav, hotwords=phrases).text == whole[utterance.key]
        session = recognizer.stream(chunk_ms=160, left_chunks=2, hotwords=phrases)
        for part in np.array_split(read_audio(utterance.wav)[0], 5):
            session.accept(part)
        assert session.finish().text == chunks[utterance.key]
    assert whole != decoded(toy, toy_model, tmp_path / "plain")


@given(portions=st.lists(st.integers(0, 9000), min_size=1, max_size=8))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_split_of_the_audio_gives_the_same_score(toy: Toy, model_dir: Path, portions: list[int]) -> None:
    recognizer = Recognizer(model_dir)
    samples, _ = read_audio(read_manifest(toy.folder / "dev/data.list")[0].wav)
    whole, split = (recognizer.stream(chunk_ms=160) for _ in range(2))
    whole.accept(samples)
    for part in np.split(samples, np.minimum(np.cumsum(portions), len(samples))):
        split.accept(part)
    expected, actual = whole.finish(), split.finish()
    assert actual.text == expected.text
    assert actual.score == pytest.approx(expected.score, abs=1e-3)


def test_another_sample_rate_and_silence_are_taken(model_dir: Path) -> None:
    recognizer = Recognizer(model_dir)
    session = recognizer.stream(8000)
    session.accept(np.zeros(4000, dtype=np.float32))
    assert session.finish().duration == pytest.approx(0.5)
    assert recognizer.stream().finish().text == ""


@pytest.mark.parametrize("rate", [0, -16000, 4_000_000_000])
def test_a_sample_rate_out_of_range_is_named(model_dir: Path, rate: int) -> None:
    recognizer, samples = Recognizer(model_dir), np.zeros(16000, dtype=np.float32)
    for use in (lambda: recognizer.transcribe(samples, sample_rate=rate), lambda: recognizer.stream(rate)):
        with pytest.raises(ConfigError, match=f"a sample rate of {rate} Hz is out of range"):
            use()


def test_a_new_export_leaves_the_language_model(toy: Toy, toy_model: Path, tmp_path: Path) -> None:
    target = tmp_path / "model"
    (target / "lm").mkdir(parents=True)
    (target / "lm/lm.arpa.gz").write_text("kept")
    (target / "model.pt").touch()
    (target / "old").touch()
    assert export.main(export_arguments(toy, toy_model, target)) == 0
    assert (target / "lm/lm.arpa.gz").read_text() == "kept" and not (target / "old").exists()


def test_audio_shorter_than_an_encoder_frame_is_an_empty_text(model_dir: Path) -> None:
    transcript = Recognizer(model_dir).transcribe(np.zeros(600, dtype=np.float32))
    assert (transcript.text, transcript.duration) == ("", 0.0375)


def test_a_changed_file_is_refused(model_dir: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "model"
    shutil.copytree(model_dir, copy)
    (copy / "units.txt").write_text((copy / "units.txt").read_text() + "X 99\n")
    with pytest.raises(CheckpointError, match=r"units\.txt: is not the file that was exported"):
        Recognizer(copy)


def test_a_folder_without_a_model_says_where_one_comes_from(toy_model: Path) -> None:
    with pytest.raises(ConfigError, match=r"is no model directory: it has no model\.yaml \(stage 7 "):
        Recognizer(toy_model)


def test_what_cannot_be_read_has_an_empty_hypothesis_and_a_reason(toy: Toy, toy_model: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (toy.folder / "dev/data.list").read_text().splitlines()]
    lines[0]["wav"] = str(tmp_path / "gone.wav")
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(100), 16000)
    lines[1].update(wav=str(short), num_samples=100, duration=0.00625)
    (tmp_path / "data.list").write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = ["--exp-dir", str(toy_model), "--checkpoint", str(toy_model / "avg_2.pt"), "--device", "cpu"]
    arguments += ["--data", str(tmp_path / "data.list"), "--result-dir", str(tmp_path / "out")]
    assert recognize.main(arguments) == 0
    for mode in ("ctc_greedy_search", "attention_rescoring"):
        text = read_text(tmp_path / "out" / mode / "text")
        assert sorted(text) == [line["key"] for line in lines]
        assert text[lines[0]["key"]] == text[lines[1]["key"]] == ""
        nbest = [json.loads(line) for line in (tmp_path / "out" / mode / "nbest.jsonl").read_text().splitlines()]
        assert "no such audio file" in nbest[0]["reason"]


def test_a_checkpoint_of_another_architecture_is_refused(toy: Toy, toy_model: Path, tmp_path: Path) -> None:
    state = torch.load(toy_model / "avg_2.pt", weights_only=True)
    state["encoder.after_norm.weight"] = torch.zeros(3)
    del state["ctc.ctc_lo.bias"]
    torch.save(state, tmp_path / "other.pt")
    arguments = export_arguments(toy, toy_model, tmp_path / "model")
    arguments[arguments.index("--checkpoint") + 1] = str(tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="ctc.ctc_lo.bias is missing; encoder.after_norm.weight has shape"):
        export.main(arguments)
