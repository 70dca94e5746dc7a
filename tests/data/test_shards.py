"""Shards hold what was packed, in random access and as streams, and say what they cannot give."""

import functools
import http.server
import io
import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_corpus import noise, write_data_dir, write_lang_dir
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.bin import command, make_list, make_shards
from wenet_lite.data.audio import read_audio
from wenet_lite.data.batch_plan import BatchConfig, EpochPlan
from wenet_lite.data.dataset import Batch, SpeechDataset
from wenet_lite.data.manifest import read_manifest
from wenet_lite.data.shard_plan import ShardPlan
from wenet_lite.data.shard_stream import ShardReader
from wenet_lite.data.shards import tar_entries
from wenet_lite.errors import DataError

COUNT = 40


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ and lang/, and data/ packed into shards/."""
    root = tmp_path_factory.mktemp("corpus")
    data, lang = write_data_dir(root / "data", COUNT), write_lang_dir(root / "lang")
    arguments = ["--data-dir", str(data), "--lang-dir", str(lang)]
    assert make_list.main([*arguments, "--output", str(data / "data.list")]) == 0
    sizes = ["--utterances-per-shard", "6", "--jobs", "2"]
    assert make_shards.main([*arguments, *sizes, "--output-dir", str(root / "shards")]) == 0
    return root


def index_of_wenet(corpus: Path, folder: Path) -> Path:
    """The same shards without our indices, as WeNet leaves them."""
    folder.mkdir()
    for tar in sorted((corpus / "shards").glob("*.tar")):
        (folder / tar.name).write_bytes(tar.read_bytes())
    (folder / "shards.list").write_text("".join(f"{tar}\n" for tar in sorted(folder.glob("*.tar"))))
    return folder / "shards.list"


def test_shards_hold_the_samples_and_texts_of_the_directory(corpus: Path) -> None:
    raw, packed = (read_manifest(corpus / name) for name in ("data/data.list", "shards/shards.list"))
    assert len(packed) == len(raw) == COUNT and len(packed.shards) == 7 and not packed.streamed
    for before, after in zip(raw, packed):
        assert (before.key, before.txt, before.duration) == (after.key, after.txt, after.duration)
        assert (before.speaker, before.num_samples, before.sample_rate) == (
            after.speaker, after.num_samples, after.sample_rate,
        )  # fmt: skip
        np.testing.assert_array_equal(read_audio(before.source)[0], read_audio(after.source)[0])


def test_the_same_directory_makes_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    arguments = ["--data-dir", str(corpus / "data"), "--lang-dir", str(corpus / "lang"), "--jobs", "1"]
    make_shards.main([*arguments, "--utterances-per-shard", "6", "--output-dir", str(tmp_path)])
    for path in (corpus / "shards").glob("*.tar*"):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


def test_wenets_shards_need_one_indexing_pass(corpus: Path, tmp_path: Path) -> None:
    shard_list = index_of_wenet(corpus, tmp_path / "wenet")
    with pytest.raises(DataError, match=r"\.tar\.index: cannot read the index.*make_list --index"):
        read_manifest(shard_list)
    assert make_list.main(["--index", str(shard_list)]) == 0
    ours = read_manifest(corpus / "shards/shards.list")
    for expected, got in zip(ours, read_manifest(shard_list)):
        assert (expected.key, expected.txt, expected.num_samples, expected.audio_offset) == (
            got.key, got.txt, got.num_samples, got.audio_offset,
        )  # fmt: skip


def test_wenets_raw_list_needs_one_indexing_pass(corpus: Path, tmp_path: Path) -> None:
    ours = read_manifest(corpus / "data/data.list")
    path = tmp_path / "data.list"
    path.write_text("".join(json.dumps({"key": u.key, "wav": u.wav, "txt": u.txt}) + "\n" for u in ours))
    with pytest.raises(DataError, match="lacks 'num_samples', and the list has no index"):
        read_manifest(path)
    assert make_list.main(["--index", str(path)]) == 0
    theirs = read_manifest(path)
    assert [u.num_samples for u in theirs] == [u.num_samples for u in ours]
    path.write_text(path.read_text().replace("GO ON", "GO OFF"))
    with pytest.raises(DataError, match="is not the list that its index describes"):
        read_manifest(path)


def streams_of(corpus: Path, folder: Path, line: str) -> Path:
    """A list whose shards come from elsewhere, with the indices beside it."""
    folder.mkdir()
    tars = sorted((corpus / "shards").glob("*.tar"))
    for tar in tars:
        (folder / f"{tar.name}.index").write_text((corpus / "shards" / f"{tar.name}.index").read_text())
    (folder / "shards.list").write_text("".join(line.format(path=tar, name=tar.name) + "\n" for tar in tars))
    return folder / "shards.list"


@pytest.fixture
def server(corpus: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(corpus / "shards"))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def epoch_of(manifest, **changes) -> EpochPlan:
    frames = np.asarray(manifest.num_samples) // 160
    config = BatchConfig(
        **{
            "max_frames": 400,
            "max_frames_per_utterance": 200,
            "micro_batches_per_update": 2,
            "shard_window": 10,
            **changes,
        }
    )
    return ShardPlan(frames, np.zeros_like(frames), config, 0, shard_starts=manifest.starts).epoch(0)


def load(manifest, plan: EpochPlan, num_workers: int, first_update: int = 0) -> list[Batch]:
    dataset = SpeechDataset(manifest, lambda text: [3] * len(text), 16000)
    return list(dataset.load(plan.of_rank(0, 1, first_update), num_workers))


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("kind", ["command", "url"])
def test_streamed_shards_give_the_batches_of_local_ones(
    corpus: Path, tmp_path: Path, server: str, kind: str, num_workers: int
) -> None:
    line = "cat {path} |" if kind == "command" else server + "/{name}"
    shard_list = streams_of(corpus, tmp_path / "streams", line)
    streamed, local = read_manifest(shard_list, allow_pipes=True), read_manifest(corpus / "shards/shards.list")
    assert streamed.streamed and [u.key for u in streamed] == [u.key for u in local]
    plan = epoch_of(local)
    for got, expected in zip(load(streamed, plan, num_workers), load(local, plan, 0), strict=True):
        assert got.keys == expected.keys and not got.failed
        np.testing.assert_array_equal(got.waveforms, expected.waveforms)
    for got, expected in zip(load(streamed, plan, num_workers, 3), load(local, plan, 0)[6:], strict=True):
        assert got.keys == expected.keys


def test_a_stream_holds_no_more_than_a_window_a_lane(corpus: Path) -> None:
    manifest = read_manifest(corpus / "shards/shards.list")
    plan = epoch_of(manifest)
    batches = list(plan.of_rank(0, 1))
    reader = ShardReader(manifest, batches)
    most = 0
    for batch in batches:
        for index in batch.indices:
            reader.take(int(index))
        most = max(most, reader.num_held)
    assert 0 < most <= 2 * 12 and reader.num_held == 0  # two lanes, windows of two shards of six


def test_commands_are_run_only_where_that_is_allowed(corpus: Path, tmp_path: Path) -> None:
    shard_list = streams_of(corpus, tmp_path / "streams", "touch " + str(tmp_path / "ran") + "; cat {path} |")
    with pytest.raises(DataError, match=r"shards.list:1: is a command.*--allow-pipes"):
        read_manifest(shard_list)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "line, reason", [("head -c 30000 {path} |", "broke off"), ("cat {path}; exit 3 |", "status 3")]
)
def test_a_stream_that_breaks_off_names_what_it_did_not_give(
    corpus: Path, tmp_path: Path, line: str, reason: str
) -> None:
    manifest = read_manifest(streams_of(corpus, tmp_path / "streams", line), allow_pipes=True)
    plan = epoch_of(manifest)
    batches = load(manifest, plan, 0)
    given = [key for batch in batches for key in batch.keys]
    failed = {key: why for batch in batches for key, why in batch.failed.items()}
    assert sorted([*given, *failed]) == [u.key for u in manifest]
    if "head" in line:
        assert given and failed and all(reason in why for why in failed.values())


def test_an_index_of_another_tar_is_noticed(corpus: Path, tmp_path: Path) -> None:
    shard_list = index_of_wenet(corpus, tmp_path / "wenet")
    make_list.main(["--index", str(shard_list)])
    first, second = sorted((tmp_path / "wenet").glob("*.tar"))[:2]
    first.write_bytes(first.read_bytes() + bytes(512))
    manifest = read_manifest(shard_list)
    assert len(manifest) == COUNT - 6 and len(manifest.rejected) == 6
    assert all("is not the tar that its index describes" in reason for _, reason in manifest.rejected)
    content = bytearray(second.read_bytes())
    content[:] = bytes(len(content))
    second.write_bytes(content)  # of the same size
    batches = load(manifest, epoch_of(manifest), 0)
    failed = [why for batch in batches for why in batch.failed.values()]
    assert len(failed) == 6 and all("is not where the index of its tar says" in why for why in failed)


def test_a_changed_shard_does_not_verify(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard_list = str(corpus / "shards/shards.list")
    assert make_shards.main(["--verify", shard_list]) == 0
    path = next((corpus / "shards").glob("*_000000003.tar"))
    content = path.read_bytes()
    try:
        path.write_bytes(content[:600] + b"X" + content[601:])
        assert command.run(make_shards.main, ["--verify", shard_list]) == 1
        assert f"{path}: is not the tar that its index describes" in capsys.readouterr().err
    finally:
        path.write_bytes(content)


def write_tar(path: Path, names: list[str]) -> None:
    stream = io.BytesIO()
    soundfile.write(stream, noise(0.5), 16000, format="FLAC")
    with tarfile.open(path, "w") as tar:
        for name in names:
            content = b"STOP" if name.endswith(".txt") else stream.getvalue()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_members_in_the_wrong_order_are_listed(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", ["a.txt", "a.flac", "b.txt", "c.flac", "b.flac", "c.txt", "d.flac", "d.txt"])
    (tmp_path / "shards.list").write_text("a.tar\n")
    make_list.main(["--index", str(tmp_path / "shards.list"), "--max-bad-fraction", "1"])
    manifest = read_manifest(tmp_path / "shards.list")
    assert [u.key for u in manifest] == ["a", "d"]
    assert {key for key, _ in manifest.rejected} == {"b", "c"}
    assert all("without" in reason and "beside it" in reason for _, reason in manifest.rejected)


def test_full_scale_does_not_wrap(tmp_path: Path) -> None:
    data = write_data_dir(tmp_path / "data", 1)
    soundfile.write(data / "spk-0000.wav", np.array([1.0, -1.0, 1.2] * 1000), 16000, subtype="FLOAT")
    arguments = ["--data-dir", str(data), "--lang-dir", str(write_lang_dir(tmp_path / "lang"))]
    make_shards.main([*arguments, "--output-dir", str(tmp_path / "shards")])
    samples, _ = read_audio(read_manifest(tmp_path / "shards/shards.list")[0].source)
    assert samples[0] > 0.999 and samples[1] == -1.0 and samples[2] > 0.999


def test_wenets_tools_make_the_same_lists(corpus: Path, tmp_path: Path) -> None:
    wav_scp, text = corpus / "data/wav.scp", corpus / "data/text"
    tools = Path(__file__).resolve().parents[2] / "tools"
    subprocess.run([tools / "make_raw_list.py", wav_scp, text, tmp_path / "data.list"], check=True, capture_output=True)
    sizes = ["--num_utts_per_shard", "6", "--num_threads", "2"]
    command = [tools / "make_shard_list.py", *sizes, wav_scp, text, tmp_path / "shards", tmp_path / "shards.list"]
    subprocess.run(command, check=True, capture_output=True)
    ours = read_manifest(corpus / "data/data.list")
    for theirs in (read_manifest(tmp_path / "data.list"), read_manifest(tmp_path / "shards.list")):
        assert [(u.key, u.txt, u.num_samples) for u in theirs] == [(u.key, u.txt, u.num_samples) for u in ours]
    (tmp_path / "segments").write_text("part spk-0039 0.25 0.5\n")
    (tmp_path / "text").write_text("part STOP\n")
    segments = ["--segments", tmp_path / "segments", wav_scp, tmp_path / "text", tmp_path / "data.list"]
    subprocess.run([tools / "make_raw_list.py", *segments], check=True, capture_output=True)
    assert read_manifest(tmp_path / "data.list")[0].num_samples == 4000


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_bytes_as_a_tar_are_listed_or_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, after_a_member: bool
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.tar"
    if after_a_member:
        write_tar(path, ["a.txt", "a.flac"])
        content = path.read_bytes()[:2048] + content
    path.write_bytes(content)
    try:
        entries = list(tar_entries(path))
    except DataError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert all("error" in entry or entry["num_samples"] > 0 for entry in entries)


@given(st.binary(max_size=200), st.sampled_from([b"", b'{"schema": 1, "size": 1, "sha256": ""}\n']))
@settings(max_examples=100, deadline=None)
def test_any_bytes_as_an_index_give_utterances_or_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "a.tar").write_bytes(b"x")
    (folder / "shards.list").write_text("a.tar\n")
    (folder / "a.tar.index").write_bytes(start + content)
    try:
        manifest = read_manifest(folder / "shards.list")
        assert len(list(manifest)) + len(manifest.rejected) > 0
    except DataError as error:
        assert str(folder) in str(error) and "\n" not in str(error)
