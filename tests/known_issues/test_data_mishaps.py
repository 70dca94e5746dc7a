"""Mishaps with data that once lost something, hung, or ended in a stack trace."""

import io
import json
import sys
import tarfile
from pathlib import Path

import pytest
import soundfile
from data_corpus import noise, write_data_dir, write_lang_dir
from hypothesis import given
from hypothesis import strategies as st
from toy import Toy

from wenet_lite.bin import command, compute_cmvn, make_list, make_shards, train
from wenet_lite.data import wenet_lists
from wenet_lite.data.audio import audio_info, read_audio
from wenet_lite.data.audio_source import AudioCommand
from wenet_lite.data.indexing import make_index
from wenet_lite.data.manifest import read_manifest
from wenet_lite.data.shards import ShardOptions
from wenet_lite.data.wenet_lists import make_shard_list
from wenet_lite.errors import AudioError, DataError
from wenet_lite.text.lang_dir import make_lang_dir
from wenet_lite.text.rules import TextRules


def test_a_lang_directory_replaces_no_other_directory(tmp_path: Path) -> None:
    data = write_data_dir(tmp_path / "data", 2)
    with pytest.raises(DataError, match="holds other files than a lang directory"):
        make_lang_dir(["A B"], TextRules(), 5, "char", data)
    assert (data / "wav.scp").exists()


@given(
    st.text(max_size=20), st.sampled_from(["upper", "lower", "keep"]), st.sampled_from(["straight", "remove", "keep"])
)
def test_text_rules_change_nothing_the_second_time(text: str, case, apostrophe) -> None:
    rules = TextRules(case=case, apostrophe=apostrophe, remove=".,")
    assert rules(rules(text)) == rules(text)
    assert rules(rules("ŉ ΐ ΰ ῒ")) == rules("ŉ ΐ ΰ ῒ")


def test_a_foreign_list_goes_through_the_text_rules(toy: Toy, tmp_path: Path) -> None:
    lines = [{"key": u.key, "wav": u.wav, "txt": u.txt.lower()} for u in read_manifest(toy.folder / "train/data.list")]
    (tmp_path / "data.list").write_text("".join(json.dumps(line) + "\n" for line in lines))
    make_list.main(["--index", str(tmp_path / "data.list")])
    plain, foreign = toy.train_arguments(tmp_path / "plain"), toy.train_arguments(tmp_path / "foreign")
    foreign[foreign.index("--train-data") + 1] = str(tmp_path / "data.list")
    one = ["--set", "training.max_epochs=1"]
    assert train.main([*plain, *one]) == 0 and train.main([*foreign, *one]) == 0
    first, second = ((tmp_path / name / "metrics.jsonl").read_text().splitlines()[-1] for name in ("plain", "foreign"))
    assert json.loads(first)["loss"] == json.loads(second)["loss"]


def test_dev_audio_that_is_gone_is_an_error_not_a_crash(toy: Toy, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (toy.folder / "dev/data.list").read_text().splitlines()]
    lines[0]["wav"] = str(tmp_path / "gone.wav")
    (tmp_path / "data.list").write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = toy.train_arguments(tmp_path / "exp", "training.max_epochs=1", "batch.batch_size=1")
    arguments[arguments.index("--dev-data") + 1] = str(tmp_path / "data.list")
    with pytest.raises(DataError, match=r"1 of 6 dev utterances cannot be used.*gone\.wav"):
        train.main(arguments)


@pytest.mark.parametrize("setting", ["model.encoder.output_size=32", "training.optimizer.freeze=['foo.*']"])
def test_a_refused_run_leaves_the_configuration_of_the_old_one(toy: Toy, tmp_path: Path, setting: str) -> None:
    assert train.main(toy.train_arguments(tmp_path, "training.max_epochs=1")) == 0
    before = (tmp_path / "train.yaml").read_text()
    other = toy.train_arguments(tmp_path, "training.max_epochs=1", setting)
    assert command.run(train.main, [*other, "--allow-config-change"]) == 1
    assert (tmp_path / "train.yaml").read_text() == before


def test_commands_do_not_eat_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(0.1), 16000)
    monkeypatch.setattr(sys, "stdin", None)
    assert len(read_audio(AudioCommand(f"cat > /dev/null; cat {tmp_path}/a.wav"))[0]) == 1600


def flac_without_length() -> bytes:
    """As flac and ffmpeg write it to a pipe."""
    stream = io.BytesIO()
    soundfile.write(stream, noise(1.0), 16000, format="FLAC")
    content = bytearray(stream.getvalue())
    content[21] &= 0xF0  # the 36 bits of STREAMINFO that count samples
    content[22:26] = bytes(4)
    return bytes(content)


def test_flac_that_does_not_tell_its_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "piped.flac"
    path.write_bytes(flac_without_length())
    for read in (audio_info, read_audio):
        with pytest.raises(AudioError, match="does not tell its length"):
            read(path)


def test_flac_that_does_not_tell_its_length_is_left_out_of_a_shard(tmp_path: Path) -> None:
    piped, whole = flac_without_length(), io.BytesIO()
    soundfile.write(whole, noise(0.5), 16000, format="FLAC")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, content in (("u1.txt", b"GO"), ("u1.flac", piped), ("u2.txt", b"ON"), ("u2.flac", whole.getvalue())):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    (tmp_path / "shards.list").write_text("a.tar\n")
    num_utterances, failed = make_index(tmp_path / "shards.list", 1)
    reason = f"{tmp_path}/a.tar[u1]: does not tell its length (write it to a file, or as WAV)"
    assert (num_utterances, failed) == (2, {"u1": reason})
    assert [utterance.key for utterance in read_manifest(tmp_path / "shards.list")] == ["u2"]


def test_keys_that_are_not_ascii_are_found_in_any_tar(tmp_path: Path) -> None:
    stream = io.BytesIO()
    soundfile.write(stream, noise(0.5), 16000, format="FLAC")
    for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(tmp_path / "a.tar", "w", format=kind) as tar:
            for name, content in (("说话人1.txt", b"STOP"), ("说话人1.flac", stream.getvalue())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        (tmp_path / "shards.list").write_text("a.tar\n")
        make_list.main(["--index", str(tmp_path / "shards.list")])
        (utterance,) = read_manifest(tmp_path / "shards.list")
        assert utterance.key == "说话人1" and len(read_audio(utterance.source)[0]) == 8000


def test_an_interrupted_repacking_leaves_no_list_of_mixed_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, lang = write_data_dir(tmp_path / "data", 4), write_lang_dir(tmp_path / "lang")
    arguments = ["--data-dir", str(data), "--lang-dir", str(lang), "--output-dir", str(tmp_path / "shards")]
    assert make_shards.main([*arguments, "--utterances-per-shard", "2"]) == 0

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(make_shards, "write_shards", killed)
    assert command.run(make_shards.main, [*arguments, "--utterances-per-shard", "1"]) == 130
    assert not (tmp_path / "shards/shards.list").exists()


def test_an_interrupted_make_shard_list_leaves_no_list_of_mixed_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, shards = write_data_dir(tmp_path / "data", 4), tmp_path / "shards"

    def make(text: Path) -> None:
        make_shard_list(data / "wav.scp", text, shards, shards / "shards.list", ShardOptions(), None, 1)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    make(data / "text")
    with pytest.raises(DataError):
        make(tmp_path / "mistyped")
    assert (shards / "shards.list").exists()
    monkeypatch.setattr(wenet_lists, "write_shards", killed)
    with pytest.raises(KeyboardInterrupt):
        make(data / "text")
    assert not (shards / "shards.list").exists()


def test_a_list_of_which_some_lines_tell_their_length_can_be_indexed(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(0.5), 16000)
    line = {"wav": str(tmp_path / "a.wav"), "txt": "STOP"}
    known = {"num_samples": 8000, "sample_rate": 16000}
    lines = [{"key": "a", **line, **known}, {"key": "b", **line}, {"key": "c", **line, **known}, {"key": "d", **line}]
    (tmp_path / "data.list").write_text("".join(json.dumps(entry) + "\n" for entry in lines))
    make_list.main(["--index", str(tmp_path / "data.list")])
    assert [u.num_samples for u in read_manifest(tmp_path / "data.list")] == [8000] * 4


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, lang = write_data_dir(tmp_path / "data", 2), write_lang_dir(tmp_path / "lang")
    (tmp_path / "config.yaml").write_text("features:\n  num_mel_bins: 20\n")
    common = ["--data-dir", str(data), "--lang-dir", str(lang)]
    cmvn = ["--data-dir", str(data), "--config", str(tmp_path / "config.yaml"), "--jobs", "1"]
    for main, arguments in (
        (make_list.main, [*common, "--output", str(tmp_path / "nowhere/data.list")]),
        (compute_cmvn.main, [*cmvn, "--output", str(tmp_path / "nowhere/cmvn")]),
    ):
        assert command.run(main, arguments) == 1
        assert "nowhere" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        make_list.main([*common, "--output", "x", "--jobs", "0"])
    assert stopped.value.code == 1
