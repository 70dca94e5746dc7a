"""The memory that the allocator keeps."""

from __future__ import annotations

import ctypes
import threading
import time


def trim_heap() -> None:
    """Give free memory back to the system: glibc keeps what tensors of changing shapes leave in pieces."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class HeapTrimmer:
    """Trims the heap while there is work and once after it, in a thread of its own.

    Args:
        interval_s: seconds from one time to the next; so long after the last work, at most, its memory is given back.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._worked = threading.Event()
        threading.Thread(target=self._run, name="heap", daemon=True).start()

    def __call__(self) -> None:
        """Say that something was allocated or freed; returns at once."""
        self._worked.set()

    def _run(self) -> None:
        while self._worked.wait():
            time.sleep(self._interval_s)
            self._worked.clear()
            trim_heap()
