"""The smoke corpus: voices and sentences kept apart, the same bytes each time, whole parts or none."""

from __future__ import annotations

import collections
import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

PROJECT = Path(__file__).resolve().parents[2]
RECIPE = PROJECT / "egs" / "librispeech"
PARTS = ("smoke-train", "smoke-dev", "smoke-test")
TIME_LIMIT_S = 120  # eSpeak NG hangs where it is started twice in a process
HOURS = "0.01"  # too few for more than a sentence or two of each speaker

sys.path.insert(0, str(RECIPE / "local"))
import smoke_grammar  # noqa: E402
import synthesize_smoke  # noqa: E402


def command_line(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "local/synthesize_smoke.py", "--output-dir", str(folder), "--hours", HOURS, *options]


def environment(*python_path: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*python_path, PROJECT))), "OMP_NUM_THREADS": "1"}


def synthesise(folder: Path, *options: str) -> None:
    command = command_line(folder, *options)
    subprocess.run(command, check=True, cwd=RECIPE, env=environment(), capture_output=True, timeout=TIME_LIMIT_S)


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small corpus with all voices; not to be changed."""
    folder = tmp_path_factory.mktemp("smoke")
    synthesise(folder, "--jobs", "2")
    return folder / "LibriSpeech"


def test_layout_is_librispeechs(corpus: Path) -> None:
    listed = {}
    for line in (corpus / "SPEAKERS.TXT").read_text().splitlines():
        if not line.startswith(";"):
            number, gender, part, minutes, _ = (field.strip() for field in line.split("|"))
            assert gender in ("F", "M") and float(minutes) > 0
            listed[int(number)] = part
    for part in PARTS:
        speakers = {int(folder.name) for folder in (corpus / part).iterdir()}
        assert speakers == {number for number, of_part in listed.items() if of_part == part}
        for transcript in (corpus / part).glob("*/*/*.trans.txt"):
            speaker, chapter = transcript.parts[-3:-1]
            assert transcript.name == f"{speaker}-{chapter}.trans.txt"
            keys = [line.split()[0] for line in transcript.read_text().splitlines()]
            assert keys == [f"{speaker}-{chapter}-{i:04d}" for i in range(len(keys))]
            assert {path.stem for path in transcript.parent.glob("*.flac")} == set(keys)
    assert len(listed) > 100


def test_audio_is_16_khz_neither_clipped_nor_silent(corpus: Path) -> None:
    for path in corpus.rglob("*.flac"):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        samples, _ = soundfile.read(path)
        assert 1 < len(samples) / 16000 < 12, path
        assert 0.2 < np.abs(samples).max() < 0.99, path
        # every take starts with at least 0.1 s of noise alone, 20 to 60 dB below its speech, which pauses dilute
        noise_db = 20 * np.log10(np.sqrt(np.mean(samples[:1600] ** 2)) / np.sqrt(np.mean(samples**2)))
        assert -62 < noise_db < -13, path


def test_one_pause_in_three_is_long(corpus: Path) -> None:
    lengths = []
    for path in sorted((corpus / "smoke-train").rglob("*.flac")):
        samples, _ = soundfile.read(path)
        loud = np.flatnonzero(np.abs(samples) > 0.2 * np.abs(samples).max())
        lengths += [loud[0] / 16000, (len(samples) - loud[-1]) / 16000]
    assert min(lengths) >= 0.1 and max(lengths) < 3.0
    assert 0.2 < np.mean(np.array(lengths) > 0.6) < 0.4


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_no_sentence_and_no_voice_of_dev_and_test_is_in_training(seed: int) -> None:
    sentences, voices = collections.defaultdict(set), collections.defaultdict(set)
    for speaker in synthesize_smoke.cast(synthesize_smoke.HOURS, seed):
        sentences[speaker.part].update(speaker.sentences)
        voices[speaker.part].add(speaker.variant)
    for table in (sentences, voices):
        assert not table["smoke-train"] & (table["smoke-dev"] | table["smoke-test"])
        assert not table["smoke-dev"] & table["smoke-test"]
    assert len(sentences["smoke-train"]) > 2000


def test_each_held_out_part_has_six_voices_and_both_genders() -> None:
    speakers = synthesize_smoke.cast(synthesize_smoke.HOURS, 777)
    for part in PARTS[1:]:
        assert len({speaker.variant for speaker in speakers if speaker.part == part}) >= 6
        assert {speaker.gender for speaker in speakers if speaker.part == part} == {"F", "M"}


@pytest.mark.parametrize(
    "twins",
    [("linda", "belinda"), ("f2", "f5"), ("Michael", "Mario"), ("victor", "Denis"), ("Reed", "benjamin")],
    ids="-".join,
)
def test_twins_are_not_divided_between_training_and_a_held_out_part(twins: tuple[str, str]) -> None:
    sides = {part == "smoke-train" for part in PARTS for twin in twins if twin in synthesize_smoke.VOICES[part]}
    assert len(sides) == 1


def test_odd_voices_are_in_no_part() -> None:
    cast = {variant for variants in synthesize_smoke.VOICES.values() for variant in variants}
    assert not cast & {"Marco", "zac", "Alicia", "kaukovalta", "Lee", "croak", "whisper", "whisperf", "robosoft"}


def test_training_has_every_word_of_the_vocabulary_often() -> None:
    speakers = synthesize_smoke.cast(synthesize_smoke.HOURS, 777)
    counts = collections.Counter(
        word for speaker in speakers if speaker.part == "smoke-train" for s in speaker.sentences for word in s.split()
    )
    assert counts.keys() == smoke_grammar.vocabulary() and len(counts) >= 60
    assert min(counts.values()) >= 50


def test_same_seed_same_bytes_whatever_the_number_of_jobs_and_the_time_of_day(corpus: Path, tmp_path: Path) -> None:
    synthesise(tmp_path, "--jobs", "5")
    assert digests(tmp_path / "LibriSpeech") == digests(corpus)


def test_another_seed_gives_other_sentences() -> None:
    first, second = (synthesize_smoke.cast(synthesize_smoke.HOURS, seed) for seed in (1, 2))
    assert [speaker.sentences for speaker in first] != [speaker.sentences for speaker in second]


def test_a_rerun_makes_only_the_part_that_is_missing(corpus: Path, tmp_path: Path) -> None:
    copy = tmp_path / "LibriSpeech"
    shutil.copytree(corpus, copy)
    shutil.rmtree(copy / "smoke-dev")
    kept = copy / "smoke-train"
    before = kept.stat().st_mtime_ns, kept.stat().st_ino
    synthesise(tmp_path)
    assert (kept.stat().st_mtime_ns, kept.stat().st_ino) == before
    assert digests(copy) == digests(corpus)


def test_killed_halfway_leaves_no_part_and_a_rerun_makes_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command_line(tmp_path, "--jobs", "2"),
        cwd=RECIPE,
        env=environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + TIME_LIMIT_S
    while not list((tmp_path / "LibriSpeech" / "smoke-train.tmp").glob("*/*/*.flac")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not any((tmp_path / "LibriSpeech" / part).exists() for part in PARTS)
    synthesise(tmp_path)
    assert digests(tmp_path / "LibriSpeech") == digests(corpus)


def test_a_full_disk_gets_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_space(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", no_space)  # the workers are forked, so they have it too
    assert run_here(synthesize_smoke, ["--output-dir", str(tmp_path), "--hours", HOURS, "--jobs", "2"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"{tmp_path}/LibriSpeech/smoke-train" in error and "No space left on device (free space" in error
    assert list((tmp_path / "LibriSpeech").iterdir()) == []


def test_a_missing_wheel_gets_one_line_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "espeakng_loader.py").write_text("raise ImportError('not installed')\n")
    result = subprocess.run(
        command_line(tmp_path / "corpus"), cwd=RECIPE, env=environment(tmp_path), capture_output=True, text=True
    )
    assert result.returncode == 1
    assert result.stderr == (
        "synthesize_smoke: espeakng-loader is not installed (pip install -r egs/librispeech/requirements.txt)\n"
    )
    assert not any(tmp_path.rglob("smoke-*"))


@pytest.mark.parametrize("options", [["--jobs", "0"], ["--hours", "nan"], ["--hours", "-1"]], ids=" ".join)
def test_a_senseless_option_gets_one_line(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(synthesize_smoke, ["--output-dir", str(tmp_path), *options]) == 1
    assert capsys.readouterr().err.startswith(f"synthesize_smoke: {options[0]} ")
    assert not any(tmp_path.iterdir())


def run_here(module: ModuleType, argv: list[str]) -> int:
    """The command's own way of running, in this process."""
    from wenet_lite.bin import command

    return command.run(module.main, argv)
