"""Utterances of lhotse manifests: recordings with supervisions, or cuts. Reads the JSON, needs no lhotse."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from wenet_lite.data.importers_json import JsonObject, read_json_lines
from wenet_lite.data.importers_source import SourceUtterance, gender_of
from wenet_lite.data.kaldi import PathLike
from wenet_lite.errors import DataError

logger = logging.getLogger(__name__)

_SAME_S = 0.001  # lhotse rounds times; a supervision this near to its recording's length is all of it
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class _Record:
    """A JSON object and where it stands; values are taken out of it with their type checked."""

    path: str
    line: int
    content: JsonObject

    def get(self, name: str, kind: type[_Value]) -> _Value:
        value = self.content.get(name)
        if kind is float and isinstance(value, int):
            value = float(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(f"has no '{name}' that is a {kind.__name__}", "is this a lhotse manifest?")
        return value

    def text(self, name: str) -> str:
        """An optional string."""
        return "" if self.content.get(name) is None else str(self.content[name])

    def inner(self, content: object) -> _Record:
        """An object inside this one."""
        if not isinstance(content, dict):
            raise self.error(f"has {content!r} where an object should be", "is this a lhotse manifest?")
        return _Record(self.path, self.line, content)

    def error(self, message: str, cure: str | None = None) -> DataError:
        return DataError(message, path=self.path, line=self.line, cure=cure)


@dataclass(frozen=True)
class _Recording:
    """Attributes:
    audio: absolute path, or a command.
    is_command: whether `audio` is a command.
    duration: seconds.
    channel: the first one.
    """

    audio: str
    is_command: bool
    duration: float
    channel: int


def lhotse_utterances(sources: Sequence[PathLike], audio_dir: PathLike = "") -> Iterator[SourceUtterance]:
    """The utterances of lhotse manifests, one for each supervision.

    Args:
        sources: files with recordings, supervisions or cuts (.jsonl or .jsonl.gz), or one folder that holds them.
        audio_dir: what relative paths of audio are relative to; by default, as for lhotse, the working directory.
    Raises:
        DataError: if a file is missing or malformed, or tells of audio that is no file or command as it is: of
            another channel than the first, mixed, transformed, or out on the network.
    """
    recordings: dict[str, _Recording] = {}
    supervisions: list[_Record] = []
    without_supervision = 0
    for path in _manifests(sources):
        for line, content in read_json_lines(path):
            record = _Record(os.fspath(path), line, content)
            if "sources" in content:
                recordings[record.get("id", str)] = _recording(record, audio_dir)
            elif "recording_id" in content:
                supervisions.append(record)
            elif "type" in content:
                utterances = list(_utterances_of_cut(record, audio_dir))
                without_supervision += not utterances
                yield from utterances
            else:
                raise record.error("is no recording, supervision or cut of lhotse's")
    for supervision in supervisions:
        yield _utterance(supervision, recordings.get(supervision.get("recording_id", str)))
    if supervisions:
        without_supervision = len(recordings.keys() - {record.content["recording_id"] for record in supervisions})
    if without_supervision:
        logger.warning("%s: %d recordings have no supervision", sources[0], without_supervision)


def _manifests(sources: Sequence[PathLike]) -> list[PathLike]:
    """The files to read: of a folder its recordings and supervisions, or else its cuts."""
    if len(sources) > 1 or not os.path.isdir(sources[0]):
        return list(sources)
    folder = Path(sources[0])
    found = {what: sorted(folder.glob(f"*{what}*.jsonl*")) for what in ("recordings", "supervisions", "cuts")}
    wanted = ("recordings", "supervisions") if found["recordings"] and found["supervisions"] else ("cuts",)
    for what in wanted:
        if len(found[what]) > 1:
            names = ", ".join(file.name for file in found[what])
            raise DataError(f"has several files of {what}: {names}", path=folder, cure="name the files to import")
        if not found[what]:
            cure = (
                "lhotse calls them recordings.jsonl.gz and supervisions.jsonl.gz, or cuts.jsonl.gz; or name the files"
            )
            raise DataError("has no recordings with supervisions and no cuts", path=folder, cure=cure)
    return [found[what][0] for what in wanted]


def _recording(record: _Record, audio_dir: PathLike) -> _Recording:
    key = record.get("id", str)
    for transform in record.content.get("transforms") or []:
        name = record.inner(transform).text("name")
        if name != "Resample":  # every reader of ours resamples
            cure = "save its audio first, with lhotse's save_audios"
            raise record.error(f"recording '{key}' is not its audio as it is, but changed by {name}", cure)
    first, *_ = record.get("sources", list) or [None]
    source = record.inner(first)
    kind, audio = source.get("type", str), source.get("source", str)
    if kind not in ("file", "command"):
        cure = "save its audio to files first, with lhotse's save_audios"
        raise record.error(f"recording '{key}' is a '{kind}', not a file or a command", cure)
    channels = source.get("channels", list)
    if kind == "file":
        audio = os.path.abspath(os.path.join(audio_dir, audio))
    return _Recording(audio, kind == "command", record.get("duration", float), channels[0] if channels else 0)


def _utterances_of_cut(cut: _Record, audio_dir: PathLike) -> Iterator[SourceUtterance]:
    kind = cut.get("type", str)
    if kind not in ("MonoCut", "MultiCut") or "recording" not in cut.content:
        cure = "save its audio first, with lhotse's save_audios"
        raise cut.error(f"cut '{cut.text('id')}' is a {kind} without a recording of its own", cure)
    recording = _recording(cut.inner(cut.content["recording"]), audio_dir)
    for supervision in cut.content.get("supervisions") or []:
        yield _utterance(cut.inner(supervision), recording, cut.get("start", float))


def _utterance(supervision: _Record, recording: _Recording | None, offset_s: float = 0.0) -> SourceUtterance:
    """The utterance of a supervision, which begins its `start` behind an offset in the recording."""
    key, recording_id = supervision.get("id", str), supervision.get("recording_id", str)
    start = max(offset_s + supervision.get("start", float), 0.0)
    duration = supervision.get("duration", float)
    end: float = start + duration
    if recording is not None:
        _require_first_channel(supervision, recording)
        end = min(end, recording.duration)
    is_whole = recording is not None and start < _SAME_S and end > recording.duration - _SAME_S
    return SourceUtterance(
        path=supervision.path,
        line=supervision.line,
        key=key,
        recording=recording_id,
        audio=recording.audio if recording else "",
        text=supervision.text("text"),
        speaker=supervision.text("speaker"),
        gender=gender_of(supervision.text("gender")),
        start=None if is_whole else start,
        end=None if is_whole else end,
        duration=end - start,
        is_command=recording is not None and recording.is_command,
    )


def _require_first_channel(supervision: _Record, recording: _Recording) -> None:
    first = recording.channel
    channel = supervision.content.get("channel", first)
    if channel not in (first, [first]):
        message = (
            f"supervision '{supervision.text('id')}' is of channel {channel}; only {first}, the first one, is read"
        )
        raise supervision.error(message, "split the audio into files of one channel first")
