"""The exceptions that the library raises for mistakes a user can mend.

Each is one line: where, what is wrong, what to do. `wenet_lite.bin` prints that line and exits with
status 1; any other exception is a bug of ours and shows its stack trace.
"""

from __future__ import annotations

import os


class WenetLiteError(Exception):
    """A mistake in input or environment, told in one line.

    Args:
        message: what is wrong, without a full stop.
        path: the file at fault.
        line: line number in `path`, from 1.
        cure: what to do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | os.PathLike[str] | None = None,
        line: int | None = None,
        cure: str | None = None,
    ) -> None:
        where = "" if path is None else os.fspath(path)
        if where and line is not None:
            where += f":{line}"
        text = f"{where}: {message}" if where else message
        super().__init__(f"{text} ({cure})" if cure else text)


class ConfigError(WenetLiteError):
    """A configuration file, key or value that cannot be used."""


class DataError(WenetLiteError):
    """A data directory, manifest or transcript that is malformed."""


class AudioError(DataError):
    """An audio file that is missing, empty or cannot be decoded."""


class InputError(WenetLiteError, ValueError):
    """Audio, features or caches that a model cannot take."""


class CheckpointError(WenetLiteError):
    """A checkpoint or weight file that is torn, foreign or does not fit the model."""


class ExportError(WenetLiteError):
    """An exported model that does not agree with the model it was made from."""


class DistributedError(WenetLiteError):
    """Other processes of a run that cannot be reached or do not answer in time."""
