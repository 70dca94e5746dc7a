"""One run at a time in a directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wenet_lite.errors import WenetLiteError


@contextmanager
def run_lock(folder: Path, verb: str) -> Iterator[None]:
    """Hold a directory for the time of the block; the system lets go of it however this process ends.

    Args:
        folder: is made where it is missing.
        verb: what is done there, for the message.
    Raises:
        WenetLiteError: if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            raise WenetLiteError(
                f"another run {verb}s here ({stream.read().strip()})", path=folder, cure=f"end it, or {verb} elsewhere"
            ) from None
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        stream.flush()
        yield
