"""Downloads from OpenSLR, played by a server on this machine: resumed, checked, unpacked whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from wenet_lite.bin import command

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "egs" / "librispeech" / "local"))
import download_data

PART = "dev-clean-2"
NOBODY = "http://127.0.0.1:9/resources"  # the discard port: nothing listens there


def make_archive() -> bytes:
    """A part of a corpus as OpenSLR packs it; the noise does not compress."""
    files = {
        "LibriSpeech/SPEAKERS.TXT": b"1 | F | dev-clean-2 | 1.00 | Nobody\n",
        f"LibriSpeech/{PART}/1/2/1-2.trans.txt": b"1-2-0000 HELLO\n",
        f"LibriSpeech/{PART}/1/2/1-2-0000.flac": hashlib.shake_256(b"noise").digest(300_000),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


ARCHIVE = make_archive()


class Mirror(ThreadingHTTPServer):
    """A server of one archive that may break off, lack byte ranges, or serve something else.

    Attributes:
        ranges: the Range header of each request, "" where it had none.
    """

    def __init__(self, content: bytes = ARCHIVE, *, break_after: int | None = None, knows_ranges: bool = True) -> None:
        self.content, self.break_after, self.knows_ranges = content, break_after, knows_ranges
        self.ranges: list[str] = []
        super().__init__(("127.0.0.1", 0), MirrorHandler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/resources"


class MirrorHandler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        mirror, wanted = self.server, self.headers.get("Range", "")
        mirror.ranges.append(wanted)
        if self.path != f"/resources/31/{PART}.tar.gz":
            self.send_error(404)
            return
        first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and mirror.knows_ranges else 0
        if first >= len(mirror.content):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(mirror.content) - first))
        self.end_headers()
        self.wfile.write(mirror.content[first : mirror.break_after])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """A mirror without fault."""
    with Mirror() as server:
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive of these tests is what OpenSLR publishes."""
    digest = hashlib.md5(ARCHIVE, usedforsecurity=False).hexdigest()
    monkeypatch.setitem(download_data.ARCHIVES, PART, (31, digest))


def download(folder: Path, *mirrors: str) -> int:
    arguments = ["--part", PART, "--output-dir", str(folder), "--mirrors", *mirrors]
    return command.run(download_data.main, arguments)


def assert_whole(folder: Path) -> None:
    """The part is there, and nothing of the making."""
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    chapter = f"LibriSpeech/{PART}/1/2"
    assert files == {"LibriSpeech/SPEAKERS.TXT", f"{chapter}/1-2.trans.txt", f"{chapter}/1-2-0000.flac"}
    assert {path.name for path in folder.iterdir()} == {"LibriSpeech"}


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_a_part_is_fetched_and_unpacked(mirror: Mirror, tmp_path: Path) -> None:
    assert download(tmp_path, mirror.address) == 0
    assert_whole(tmp_path)


def test_a_python_whose_tarfile_has_no_filters_unpacks_too(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before 3.10.12 and 3.11.4: Debian 12 has 3.11.2."""
    extractall = tarfile.TarFile.extractall
    monkeypatch.setattr(tarfile.TarFile, "extractall", lambda archive, path: extractall(archive, path))
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    assert download(tmp_path, mirror.address) == 0
    assert_whole(tmp_path)


def test_a_part_that_is_there_is_not_fetched_again(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "LibriSpeech" / PART).mkdir(parents=True)
    assert download(tmp_path, mirror.address) == 0
    assert mirror.ranges == []


def test_a_part_of_ones_own_needs_no_download(tmp_path: Path) -> None:
    (tmp_path / "LibriSpeech" / "my-part").mkdir(parents=True)
    assert command.run(download_data.main, ["--part", "my-part", "--output-dir", str(tmp_path)]) == 0


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_broken_download_is_resumed_on_the_next_run(
    knows_ranges: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Mirror(break_after=100_000, knows_ranges=knows_ranges) as server:
        assert download(tmp_path, server.address) == 1
        assert f"broke off at 100000 of {len(ARCHIVE)} bytes" in error_line(capsys)
        server.break_after = None
        assert download(tmp_path, server.address) == 0
        assert server.ranges == ["", "bytes=100000-"]
        server.shutdown()
    assert_whole(tmp_path)


def test_a_download_killed_after_its_last_byte_is_not_fetched_again(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / f"{PART}.tar.gz.part").write_bytes(ARCHIVE)
    assert download(tmp_path, mirror.address) == 0
    assert_whole(tmp_path)


def test_another_mirror_continues_where_one_broke_off(mirror: Mirror, tmp_path: Path) -> None:
    with Mirror(break_after=100_000) as broken:
        assert download(tmp_path, NOBODY, broken.address, mirror.address) == 0
        broken.shutdown()
    assert mirror.ranges == ["bytes=100000-"]
    assert_whole(tmp_path)


def test_a_corrupt_archive_is_thrown_away_and_the_next_mirror_asked(mirror: Mirror, tmp_path: Path) -> None:
    with Mirror(ARCHIVE[:1000] + b"x" + ARCHIVE[1001:]) as corrupt:
        assert download(tmp_path, corrupt.address, mirror.address) == 0
        corrupt.shutdown()
    assert_whole(tmp_path)


def test_a_corrupt_download_gets_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Mirror(b"<html>Please log in to the hotel's network</html>") as portal:
        assert download(tmp_path, portal.address) == 1
        portal.shutdown()
    line = error_line(capsys)
    assert line.startswith(f"download_data: {PART}.tar.gz: ") and "corrupt" in line and "run stage 0 again" in line
    assert [path.name for path in tmp_path.rglob("*")] == ["LibriSpeech"]


def test_a_corrupt_archive_that_the_user_put_there_is_named(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / f"{PART}.tar.gz"
    archive.write_bytes(ARCHIVE[:-1000])
    assert download(tmp_path, mirror.address) == 1
    assert error_line(capsys).startswith(f"download_data: {archive}: is corrupt")
    assert archive.exists() and not (tmp_path / "LibriSpeech" / PART).exists()


def test_no_network_gets_one_line_with_the_cure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert download(tmp_path, NOBODY) == 1
    line = error_line(capsys)
    assert "Connection refused" in line and "check the network" in line and "--datadir" in line


def test_a_file_that_no_mirror_has_gets_one_line(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert download(tmp_path, mirror.address + "/elsewhere") == 1
    assert "404 Not Found" in error_line(capsys)


def test_a_full_disk_gets_one_line_and_no_half_part(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill_the_disk(tar: tarfile.TarFile, path: Path, **_: object) -> None:
        (path / "LibriSpeech").mkdir(parents=True)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "extractall", fill_the_disk)
        assert download(tmp_path, mirror.address) == 1
    line = error_line(capsys)
    assert f"LibriSpeech/{PART}: cannot be made: No space left on device (free space" in line
    assert {path.name for path in tmp_path.iterdir()} == {"LibriSpeech", f"{PART}.tar.gz"}
    assert download(tmp_path, mirror.address) == 0  # from the archive that was kept
    assert len(mirror.ranges) == 1
    assert_whole(tmp_path)


def test_an_unknown_part_gets_one_line_with_the_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--part", "train-clean", "--output-dir", str(tmp_path)]
    assert command.run(download_data.main, arguments) == 1
    line = error_line(capsys)
    assert "unknown part 'train-clean'" in line and "train-clean-100" in line
