"""CMVN statistics are of utterances, whatever the number of processes and ranks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from data_corpus import write_data_dir
from toy import ROOT

from wenet_lite.bin import command, compute_cmvn
from wenet_lite.data.audio import read_audio
from wenet_lite.features.cmvn import CmvnStats, read_cmvn
from wenet_lite.features.fbank import Fbank, FbankConfig


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_data_dir(tmp_path_factory.mktemp("cmvn") / "data", 150, "flac")
    (folder / "config.yaml").write_text("features:\n  num_mel_bins: 20\n")
    return folder


def arguments(data: Path, output: Path, *more: str) -> list[str]:
    return ["--data-dir", str(data), "--config", str(data / "config.yaml"), "--output", str(output), *more]


def test_any_number_of_processes_and_ranks_gives_the_same_bytes(data: Path, tmp_path: Path) -> None:
    for jobs in ("1", "3"):
        assert compute_cmvn.main(arguments(data, tmp_path / jobs, "--jobs", jobs)) == 0
    ranked = arguments(data, tmp_path / "ranks", "--jobs", "1")
    launch = [sys.executable, "-m", "wenet_lite.bin.launch", "2", "wenet_lite.bin.compute_cmvn"]
    subprocess.run([*launch, *ranked], cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "3").read_bytes() == (tmp_path / "ranks").read_bytes()


def test_segments_count_not_recordings(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    recording = (data / "wav.scp").read_text().splitlines()[-1].split()[1]
    (folder / "wav.scp").write_text(f"rec {recording}\n")
    (folder / "segments").write_text("a rec 0.1 0.3\nb rec 0.5 0.8\n")
    (folder / "config.yaml").write_text("features:\n  num_mel_bins: 20\n")
    assert compute_cmvn.main(arguments(folder, tmp_path / "cmvn", "--jobs", "1")) == 0
    expected = CmvnStats.of(torch.zeros(0, 20))
    for start, end in ((0.1, 0.3), (0.5, 0.8)):
        samples, _ = read_audio(recording, start, end)
        features, _ = Fbank(FbankConfig(20)).eval()(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
        expected = expected + CmvnStats.of(features[0])
    stats = read_cmvn(tmp_path / "cmvn")
    assert stats.num_frames == expected.num_frames
    torch.testing.assert_close(stats.total, expected.total)


def test_a_command_is_run_only_where_that_is_allowed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    recording = (data / "wav.scp").read_text().splitlines()[0].split()[1]
    (folder / "wav.scp").write_text(f"a cat {recording} |\n")
    (folder / "config.yaml").write_text("features:\n  num_mel_bins: 20\n")
    given = arguments(folder, tmp_path / "cmvn", "--jobs", "1")
    assert command.run(compute_cmvn.main, given) == 1
    assert "is not run unasked (--allow-pipes runs it)" in capsys.readouterr().err
    assert compute_cmvn.main([*given, "--allow-pipes"]) == 0
    assert json.loads((tmp_path / "cmvn").read_text())["frame_num"] > 0
