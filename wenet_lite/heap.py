"""The memory that the allocator keeps."""

from __future__ import annotations

import ctypes


def trim_heap() -> None:
    """Give free memory back to the system: glibc keeps what tensors of changing shapes leave in pieces."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
