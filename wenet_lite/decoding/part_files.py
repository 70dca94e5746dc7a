"""What a decode has so far, on the disk: a killed one goes on from there."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from wenet_lite.decoding.batch_recognizer import Work
from wenet_lite.decoding.recognized_words import RecognizedWord, word_from_tree
from wenet_lite.decoding.words import UntimedWord
from wenet_lite.errors import ConfigError

_LOG = logging.getLogger(__name__)
_SCHEMA = 2


@dataclass(frozen=True)
class RecognizedUtterance:
    """Attributes:
    key: utterance id.
    nbest: for each mode the entries of `nbest.jsonl`, best first.
    reason: why it could not be heard, or None.
    duration_s: seconds that were heard.
    words: for each mode those of the best hypothesis; nothing where words were not asked for.
    """

    key: str
    nbest: dict[str, list[dict[str, Any]]]
    reason: str | None = None
    duration_s: float = 0.0
    words: dict[str, list[RecognizedWord | UntimedWord]] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """What a part file holds.

    Attributes:
        path: of the file.
        end: bytes up to the end of its last whole batch.
        offsets: where the line of each utterance begins.
        work: of each batch.
    """

    path: Path
    end: int
    offsets: dict[str, int]
    work: dict[int, Work]


class PartFolder:
    """One file a rank: a line that names the command, then for each batch its utterances and a line that closes it.

    A batch counts when it is closed. Batches do not depend on the number of ranks, so any number goes on.

    Args:
        folder: of this decode alone.
        fingerprint: of the command.
    Raises:
        ConfigError: if the folder cannot be made.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = folder, fingerprint
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot be made: {error.strerror}", path=folder, cure="name another folder") from error

    def mend(self) -> set[int]:
        """Drop what another command left and what a kill tore; returns the numbers of the batches that are there.

        No writer may be open.
        """
        found: set[int] = set()
        for path in self._paths():
            part = self._read(path)
            if part is None:
                _LOG.warning("%s is of another checkpoint, list or options: starting anew", path)
                path.unlink()
                continue
            with open(path, "r+b") as stream:
                stream.truncate(part.end)
            found.update(part.work)
        return found

    def writer(self, rank: int) -> PartWriter:
        """What appends to the file of `rank`."""
        return PartWriter(self.folder / f"rank{rank}.jsonl", self.fingerprint)

    def parts(self) -> Iterator[Part]:
        """The content of each file."""
        for path in self._paths():
            part = self._read(path)
            if part is not None:
                yield part

    def remove(self) -> None:
        """Remove the folder, when everything is written elsewhere."""
        shutil.rmtree(self.folder)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("rank*.jsonl"))

    def _read(self, path: Path) -> Part | None:
        """A file up to the last batch that is whole; None if another command wrote it."""
        part = Part(path, 0, {}, {})
        batch: dict[str, int] = {}
        end = position = 0
        with open(path, "rb") as stream:
            if _parse(stream.readline()) != _header(self.fingerprint):
                return None
            end = position = stream.tell()
            for line in stream:
                tree = _parse(line)
                if tree is None:
                    break
                if "batch" in tree:
                    end = position + len(line)
                    part.offsets.update(batch)
                    part.work[tree["batch"]] = Work(**tree["work"])
                    batch = {}
                else:
                    batch[tree["key"]] = position
                position += len(line)
        return Part(path, end, part.offsets, part.work)


class PartWriter:
    """Appends batches to a part file; used as a context manager.

    Args:
        path: of the file, mended or new.
        fingerprint: of the command.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._stream = open(path, "ab")  # noqa: SIM115
        if self._stream.tell() == 0:
            self._write([_header(fingerprint)])

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def add(self, number: int, utterances: Sequence[RecognizedUtterance], work: Work) -> None:
        """Write batch `number`."""
        self._write([*map(asdict, utterances), {"batch": number, "work": asdict(work)}])

    def _write(self, trees: Sequence[dict[str, Any]]) -> None:
        self._stream.write(b"".join(json.dumps(tree, ensure_ascii=False).encode() + b"\n" for tree in trees))
        self._stream.flush()


def read_utterance(line: bytes) -> RecognizedUtterance:
    """The utterance of a line at one of `Part.offsets`."""
    tree = json.loads(line)
    tree["words"] = {mode: list(map(word_from_tree, words)) for mode, words in tree["words"].items()}
    return RecognizedUtterance(**tree)


def _header(fingerprint: str) -> dict[str, Any]:
    return {"schema": _SCHEMA, "fingerprint": fingerprint}


def _parse(line: bytes) -> dict[str, Any] | None:
    """The object of a line; None for a torn one."""
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
