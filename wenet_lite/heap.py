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
    """Trims the heap from time to time for all threads that ask for it.

    Args:
        interval_s: seconds from one time to the next, at least.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._due = time.monotonic() + interval_s
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Trim if it is time."""
        with self._lock:
            if time.monotonic() < self._due:
                return
            self._due = time.monotonic() + self._interval_s
        trim_heap()
