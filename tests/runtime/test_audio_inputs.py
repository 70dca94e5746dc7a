"""Folders are searched in an order that stays; two inputs never share a file."""

from pathlib import Path

import pytest

from wenet_lite.errors import ConfigError
from wenet_lite.runtime.transcribing.audio_inputs import find_inputs, require_distinct_outputs


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_folders_give_their_audio_files_by_path_and_leave_out_what_is_hidden(tmp_path: Path) -> None:
    make(tmp_path, "b.flac", "a/2.WAV", "a/10.wav", "a/notes.txt", "._b.flac", ".trash/c.wav", "empty/readme")
    single = str(tmp_path / "b.flac")
    inputs, barren = find_inputs([single, str(tmp_path), str(tmp_path / "empty"), "missing.xyz"])
    assert [each.name for each in inputs] == [
        single,
        *(str(tmp_path / name) for name in ("a/10.wav", "a/2.WAV", "b.flac")),
        "missing.xyz",
    ]
    assert [str(each.output) for each in inputs] == ["b", "a/10", "a/2", "b", "missing"]
    assert barren == [str(tmp_path / "empty")]


def test_two_inputs_of_one_output_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "a/1.wav", "b/1.wav")
    require_distinct_outputs(find_inputs([str(tmp_path)])[0])
    with pytest.raises(ConfigError, match=r"a/1.wav and .*b/1.wav would both be written to 1 \(give the folder above"):
        require_distinct_outputs(find_inputs([str(tmp_path / "a/1.wav"), str(tmp_path / "b")])[0])
