"""Compilation by numba."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TypeVar, cast

HAS_NUMBA = importlib.util.find_spec("numba") is not None
F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a function when it is called first; the code is kept for other processes where a folder can be written.

    Those are the function's own and the user's cache, or what NUMBA_CACHE_DIR names.
    """
    from numba import njit

    try:
        return cast(F, njit(cache=True)(function))
    except RuntimeError:  # there is none
        return cast(F, njit(function))
