"""data.list: what is written is what is read; what is malformed is named by its line."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenet_lite.data.manifest import read_manifest, read_manifests, write_manifest
from wenet_lite.data.utterance import Utterance
from wenet_lite.data.weighted_list import WeightedList
from wenet_lite.errors import ConfigError, DataError

GOOD = {"key": "a", "wav": "/x.wav", "txt": "HI", "duration": 1.0, "num_samples": 16000, "sample_rate": 16000}


def write_list(path: Path, keys: str) -> None:
    path.write_text("".join(json.dumps({**GOOD, "key": key}) + "\n" for key in keys))


def test_written_is_read(tmp_path: Path) -> None:
    utterances = [
        Utterance("a", "/x/a.flac", "ÜBER 你好", 1.5, 24000, 16000, "s"),
        Utterance("b", "/x/r.flac", "X", 1.0, 8000, 8000, "s", start=0.5, end=1.5),
    ]
    assert write_manifest(utterances, tmp_path / "data.list") == 2
    assert list(read_manifest(tmp_path / "data.list")) == utterances


def test_relative_audio_is_beside_the_list(tmp_path: Path) -> None:
    (tmp_path / "data.list").write_text(json.dumps({**GOOD, "wav": "sub/a.wav"}) + "\n")
    assert read_manifest(tmp_path / "data.list")[0].wav == str(tmp_path / "sub/a.wav")


@pytest.mark.parametrize(
    "line, message",
    [
        ("{", "is not JSON"),
        ("[1]", "is not a JSON object"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "num_samples"}), "lacks 'num_samples'.*make_list --index"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "txt"}), "lacks 'txt'"),
        (json.dumps({**GOOD, "wav": "sox x |"}), "is a command, which is not run unasked.*--allow-pipes"),
        (json.dumps({**GOOD, "txt": 3}), "'txt' has the wrong type"),
        (json.dumps({**GOOD, "schema": 9}), "has schema 9"),
        (json.dumps({**GOOD, "num_samples": -1}), "out of range"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "data.list"
    path.write_text(json.dumps({**GOOD, "key": "first"}) + "\n" + line + "\n")
    with pytest.raises(DataError, match=message) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(f"{path}:2: ")


def test_an_empty_or_missing_list_says_which_stage_makes_it(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    for name in ("empty", "missing"):
        with pytest.raises(DataError, match="stage 3"):
            read_manifest(tmp_path / name)


def test_lists_are_read_one_after_the_other(tmp_path: Path) -> None:
    for name, keys in {"a.list": "ab", "b.list": "cdc", "c.list": "e"}.items():
        write_list(tmp_path / name, keys)
    names = [tmp_path / name for name in ("a.list", "b.list", "c.list")]
    together = read_manifests(names)
    assert [utterance.key for utterance in together] == list("abcde")
    assert [list(part.indices) for part in together.parts] == [[0, 1], [2, 3], [4]]
    assert together.rejected == together.parts[1].rejected == (("c", "has the id 'c' a second time"),)
    for path, part in zip(names, together.parts):
        assert part.path == str(path) and together[part.indices.start : part.indices.stop] == list(read_manifest(path))


def test_lists_with_one_id_or_given_twice_are_refused(tmp_path: Path) -> None:
    write_list(tmp_path / "a.list", "ab")
    write_list(tmp_path / "b.list", "cb")
    (tmp_path / "link.list").symlink_to(tmp_path / "a.list")
    with pytest.raises(DataError, match=r"b\.list: has utterance b, which is in .*a\.list too"):
        read_manifests([tmp_path / "a.list", tmp_path / "b.list"])
    with pytest.raises(DataError, match=r"is given twice \(give it once, with a weight: .*link\.list:2\)"):
        read_manifests([tmp_path / "a.list", tmp_path / "link.list"])


@pytest.mark.parametrize(
    "argument, expected",
    [
        ("a.list", WeightedList("a.list")),
        ("a.list:0.5", WeightedList("a.list", 0.5)),
        ("C:/a:b.list:2", WeightedList("C:/a:b.list", 2.0)),
        ("corpus:a.list", WeightedList("corpus:a.list")),
        ("2024", WeightedList("2024")),
    ],
)
def test_a_number_after_the_last_colon_is_a_weight(argument: str, expected: WeightedList) -> None:
    assert WeightedList.parse(argument) == expected


@pytest.mark.parametrize("weight", ["0", "-1", "inf", "nan"])
def test_a_weight_is_positive(weight: str) -> None:
    with pytest.raises(ConfigError, match=f"a.list:{weight}: a weight is a positive number"):
        WeightedList.parse(f"a.list:{weight}")


@given(st.binary(max_size=200))
def test_any_bytes_give_data_or_a_typed_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "data.list"
    path.write_bytes(content)
    try:
        assert list(read_manifest(path)) or read_manifest(path).rejected
    except DataError as error:
        assert str(path.parent) in str(error) and "\n" not in str(error)
