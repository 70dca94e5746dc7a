"""Utterances of a table: CSV and TSV files with any headings, and rows from elsewhere that have such headings."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wenet_lite.data.importers_source import SourceUtterance, gender_of
from wenet_lite.data.kaldi import PathLike
from wenet_lite.errors import DataError

Row = tuple[int, dict[str, str]]
"""Number of the line that a row begins at, and heading -> cell."""


@dataclass(frozen=True)
class Columns:
    """The heading of the column for each thing that an importer wants to know; "" where there is none.

    Attributes:
        audio: path of the recording.
        text: transcript.
        id: of the utterance; the recording's path serves where there is none.
        speaker, gender: of the speaker.
        start, end: seconds of the part of the recording.
        duration: seconds of the utterance.
    """

    audio: str
    text: str
    id: str = ""
    speaker: str = ""
    gender: str = ""
    start: str = ""
    end: str = ""
    duration: str = ""


# in lower case, the likeliest first; Common Voice, NeMo, SpeechBrain, Hugging Face and what people think of
_HEADINGS = {
    "audio": "file_name audio_filepath audio_path wav_filename audio wav file filename path",
    "text": "transcription transcript sentence text wrd",
    "id": "id utt utt_id utterance_id utterance key",
    "speaker": "speaker speaker_id spk spk_id client_id",
    "gender": "gender sex",
    "start": "start start_time begin offset",
    "end": "end end_time",
    "duration": "duration",
}
ROLES = tuple(_HEADINGS)
"""What `columns` can name: the fields of `Columns`."""


def csv_utterances(
    path: PathLike,
    audio_dir: PathLike | None = None,
    columns: Mapping[str, str] | None = None,
    *,
    quotes: bool = True,
) -> Iterator[SourceUtterance]:
    """The utterances of a CSV or TSV file.

    Args:
        path: with headings in the first line.
        audio_dir: what audio paths are relative to; by default the file's folder, or `clips` there, Common Voice's.
        columns: headings for some of `ROLES`; those of `_HEADINGS` are looked for elsewhere.
        quotes: whether `"` encloses cells; else it is a character like others.
    Raises:
        DataError: if the file cannot be read, lacks a column, or a row has other columns than the headings.
    """
    header, rows = _read_csv(path, quotes)
    chosen = choose_columns(header, columns or {}, path)
    folder = Path(path).parent
    if audio_dir is None:
        is_common_voice = chosen.speaker == "client_id" and (folder / "clips").is_dir()
        audio_dir = folder / "clips" if is_common_voice else folder
    return utterances_of_rows(rows, chosen, path, audio_dir)


def choose_columns(header: Sequence[str], given: Mapping[str, str], path: PathLike) -> Columns:
    """The headings to take from.

    Args:
        header: all headings.
        given: heading for some of `ROLES`.
        path: of the table, for messages.
    Raises:
        DataError: if there is no such heading or two of them, or none for audio or text.
    """
    known = {heading.strip().lower(): heading for heading in reversed(header)}
    there = f"its columns are {', '.join(header)}"
    chosen = {}
    for role, headings in _HEADINGS.items():
        chosen[role] = next((known[heading] for heading in headings.split() if heading in known), "")
        if role in given:
            chosen[role] = given[role]
            if given[role] not in header:
                raise DataError(f"has no column '{given[role]}' for {role}", path=path, line=1, cure=there)
        elif role in ("audio", "text") and not chosen[role]:
            cure = f"{there}; name it: --columns {role}=..."
            raise DataError(f"has no column that looks like {role}", path=path, line=1, cure=cure)
        if header.count(chosen[role]) > 1:
            raise DataError(f"has the column '{chosen[role]}' twice", path=path, line=1, cure="rename one of them")
    return Columns(**chosen)


def utterances_of_rows(
    rows: Iterable[Row], columns: Columns, path: PathLike, audio_dir: PathLike
) -> Iterator[SourceUtterance]:
    """The utterances of rows.

    Args:
        rows: of a table.
        columns: which of them means what.
        path: of the table.
        audio_dir: what audio paths are relative to.
    Raises:
        DataError: if a time is no number.
    """
    headings = dataclasses.asdict(columns)
    for line, row in rows:
        cell = {role: row.get(heading, "").strip() for role, heading in headings.items()}
        times = {}
        for role in ("start", "end", "duration"):
            times[role] = _seconds(cell[role])
            if cell[role] and times[role] is None:
                message = f"has '{cell[role]}' for {role}, which is no number of seconds"
                raise DataError(message, path=path, line=line)
        start, end, duration = times["start"], times["end"], times["duration"]
        if start is not None and end is None and duration is not None:  # NeMo's offset and duration
            end = start + duration
        audio = os.path.abspath(os.path.join(audio_dir, cell["audio"])) if cell["audio"] else ""
        recording = _recording_id(audio, audio_dir)
        span = "" if start is None or end is None else f"-{round(100 * start):07d}-{round(100 * end):07d}"
        yield SourceUtterance(
            path=os.fspath(path),
            line=line,
            key=cell["id"] or recording + span,
            recording=recording,
            audio=audio,
            text=row.get(columns.text, ""),
            speaker=cell["speaker"],
            gender=gender_of(cell["gender"]),
            start=start,
            end=end,
            duration=duration,
        )


def _read_csv(path: PathLike, quotes: bool) -> tuple[list[str], list[Row]]:
    """The headings and the rows."""
    text = _read_text(path)
    first_line = text.split("\n", 1)[0]
    delimiter = "\t" if os.fspath(path).endswith((".tsv", ".tab")) else max(",;\t|", key=first_line.count)
    # strict: a quote left open would else swallow the rows behind it without a word
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        strict=True,
    )
    rows: list[Row] = []
    header: list[str] = []
    line = 1
    try:
        for fields in reader:
            if not header:
                header = fields
            elif fields:
                if len(fields) != len(header):
                    message = f"has {len(fields)} fields where the headings are {len(header)}"
                    cure = "mend the line; an open quote does this too, see --quotes none"
                    raise DataError(message, path=path, line=line, cure=cure)
                rows.append((line, dict(zip(header, fields))))
            line = reader.line_num + 1
    except csv.Error as error:
        cure = "mend the line, or take quotes for characters with --quotes none"
        raise DataError(f"is malformed: {error}", path=path, line=line, cure=cure) from error
    if not header:
        raise DataError("is empty", path=path, cure="the first line names the columns")
    return header, rows


def _read_text(path: PathLike) -> str:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror}", path=path) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise DataError("is not UTF-8", path=path, line=number, cure="convert the file with iconv") from error


def _seconds(cell: str) -> float | None:
    try:
        seconds = float(cell)
    except ValueError:
        return None
    return seconds if 0 <= seconds < math.inf else None


def _recording_id(audio: str, audio_dir: PathLike) -> str:
    """The path of the recording in `audio_dir`, `_` for `/`, without suffix."""
    inside = os.path.abspath(audio_dir) + os.sep
    return os.path.splitext(audio.removeprefix(inside).lstrip(os.sep))[0].replace(os.sep, "_")
