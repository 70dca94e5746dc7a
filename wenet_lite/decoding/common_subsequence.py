"""What two sequences have in common."""

from __future__ import annotations

from collections.abc import Callable


def common_subsequence(rows: int, columns: int, match: Callable[[int, int], bool]) -> list[tuple[int, int]]:
    """The longest series of matching pairs that ascends in both, a longest common subsequence.

    Args:
        rows, columns: lengths of two sequences.
        match: whether two positions match.
    """
    longest = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in reversed(range(rows)):
        for j in reversed(range(columns)):
            longest[i][j] = longest[i + 1][j + 1] + 1 if match(i, j) else max(longest[i + 1][j], longest[i][j + 1])
    pairs, i, j = [], 0, 0
    while longest[i][j]:
        if match(i, j):
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif longest[i + 1][j] >= longest[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs
