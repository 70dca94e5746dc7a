"""Download a part of LibriSpeech from OpenSLR: resumed where it broke off, checked, unpacked whole."""

from __future__ import annotations

import errno
import hashlib
import http.client
import shutil
import ssl
import tarfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from wenet_lite.bin import command
from wenet_lite.errors import DataError

MIRRORS = (
    "https://www.openslr.org/resources",
    "https://us.openslr.org/resources",
    "https://openslr.trmal.net/resources",
    "https://openslr.elda.org/resources",
)
# OpenSLR number and MD5 of <part>.tar.gz, from the md5sum.txt of resources 12 and 31.
ARCHIVES: dict[str, tuple[int, str]] = {
    "train-clean-5": (31, "5df7d4e78065366204ca6845bb08f490"),
    "dev-clean-2": (31, "6d7ab67ac6a1d2c993d050e16d61080d"),
    "dev-clean": (12, "42e2234ba48799c1f50f24a7926300a1"),
    "dev-other": (12, "c8d0bcc9cca99d4f8b62fcc847357931"),
    "test-clean": (12, "32fa31d27d2e1cad72775fee3f4849a9"),
    "test-other": (12, "fb5a50374b501bb3bac4815ee91d3135"),
    "train-clean-100": (12, "2a93770f6d5c6c964bc36631d331a522"),
    "train-clean-360": (12, "c0e676e450a7ff2f54aeade5171606fa"),
    "train-other-500": (12, "d1a0fd59409feb2c614ce4d30c387708"),
}
_BLOCK = 1 << 20
_TIMEOUT_S = 60


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = command.Parser(prog="download_data", description=__doc__)
    parser.add_argument("--part", required=True, help="such as train-clean-100")
    parser.add_argument("--output-dir", required=True, type=Path, help="receives LibriSpeech/<part>")
    parser.add_argument("--mirrors", nargs="+", default=list(MIRRORS), help="base addresses, tried in turn")
    args = parser.parse_args(argv)
    target = args.output_dir / "LibriSpeech" / args.part
    if target.is_dir():
        print(f"download_data: {target} is there already")
        return 0
    if args.part not in ARCHIVES:
        raise DataError(f"unknown part '{args.part}'", cure="one of " + ", ".join(ARCHIVES))
    resource, md5 = ARCHIVES[args.part]
    fetch_part(args.part, [f"{base}/{resource}/{args.part}.tar.gz" for base in args.mirrors], md5, args.output_dir)
    return 0


def fetch_part(part: str, addresses: Sequence[str], md5: str, output_dir: Path) -> None:
    """Make `LibriSpeech/<part>`.

    Raises:
        DataError: if no address answers, the archive is not the published one, or the disk is full.
    """
    target = output_dir / "LibriSpeech" / part
    target.parent.mkdir(parents=True, exist_ok=True)
    archive = output_dir / f"{part}.tar.gz"
    try:
        if not archive.exists():
            _download(addresses, archive, md5)
        elif _md5(archive) != md5:
            raise DataError("is corrupt (its MD5 is not the published one)", path=archive, cure="delete it")
        _unpack(archive, part, output_dir)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DataError(
            f"cannot be made: {error.strerror}",
            path=target,
            cure="free space or choose another --datadir; what was fetched is kept",
        ) from error
    archive.unlink()


def _download(addresses: Sequence[str], archive: Path, md5: str) -> None:
    partial = archive.with_name(archive.name + ".part")
    reasons = []
    for address in addresses:
        try:
            _transfer(address, partial)
        except urllib.error.HTTPError as error:
            reasons.append(f"{address}: {error.code} {error.reason}")
            continue
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
            reasons.append(f"{address}: {getattr(error, 'reason', error)}")
            continue
        if _md5(partial) == md5:
            partial.rename(archive)
            return
        partial.unlink()
        reasons.append(f"{address}: the file is corrupt (its MD5 is not the published one)")
    raise DataError(
        f"cannot be downloaded: {'; '.join(reasons)}",
        path=archive.name,
        cure="check the network and run stage 0 again, or put the unpacked part under --datadir",
    )


def _transfer(address: str, partial: Path) -> None:
    """Fetch the rest of a file; what is there already is not fetched again."""
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the file is whole already
            return
        raise
    with response:
        resumed = response.status == 206
        size = int(response.headers.get("Content-Length", 0)) + (have if resumed else 0)
        with (
            open(partial, "ab" if resumed else "wb") as stream,
            tqdm(
                total=size, initial=have if resumed else 0, unit="B", unit_scale=True, desc=partial.stem, disable=None
            ) as bar,
        ):
            while block := response.read(_BLOCK):
                stream.write(block)
                bar.update(len(block))
    if partial.stat().st_size < size:
        raise ConnectionError(f"the connection broke off at {partial.stat().st_size} of {size} bytes")


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _unpack(archive: Path, part: str, output_dir: Path) -> None:
    temporary = output_dir / f"{part}.unpacking"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with tarfile.open(archive) as tar:
            # Pythons before 3.10.12 and 3.11.4 have no filters; the checksum has told that it is the published archive
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            tar.extractall(temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    root = output_dir / "LibriSpeech"
    for document in (temporary / "LibriSpeech").glob("*.TXT"):
        document.replace(root / document.name)
    (temporary / "LibriSpeech" / part).rename(root / part)
    shutil.rmtree(temporary)


if __name__ == "__main__":
    raise SystemExit(command.run(main))
