"""Kaldi's matrix format."""

from __future__ import annotations

import struct

import numpy as np

_BINARY = b"\0B"
_TYPES = {b"FM ": "<f4", b"DM ": "<f8"}


def parse_matrix(content: bytes) -> np.ndarray:
    """The matrix of a file that Kaldi wrote, (rows, columns) float64.

    Text is `[ 1 2 <line feed> 3 4 ]`; binary is `\\0B`, `FM ` or `DM `, and for rows and columns each a byte 4 and
    a 32-bit number, all little-endian.

    Raises:
        ValueError: if it is neither, or ends too early.
    """
    if not content.startswith(_BINARY):
        text = content.decode("ascii").strip()
        if not (text.startswith("[") and text.endswith("]")):
            raise ValueError("a matrix in text lies between [ and ]")
        rows = [[float(number) for number in line.split()] for line in text[1:-1].strip().splitlines()]
        matrix = np.array(rows, dtype=np.float64)  # ragged rows raise a ValueError
        return matrix if matrix.ndim == 2 else matrix.reshape(0, 0)
    if content[2:5] not in _TYPES or len(content) < 15:
        raise ValueError("is no binary matrix of floats or doubles")
    dtype = np.dtype(_TYPES[content[2:5]])
    four, num_rows, another_four, num_columns = struct.unpack("<bibi", content[5:15])
    values = content[15 : 15 + num_rows * num_columns * dtype.itemsize]
    if (
        (four, another_four) != (4, 4)
        or min(num_rows, num_columns) < 0
        or len(values) < num_rows * num_columns * dtype.itemsize
    ):
        raise ValueError("is a binary matrix that was cut off")
    return np.frombuffer(values, dtype).reshape(num_rows, num_columns).astype(np.float64)
