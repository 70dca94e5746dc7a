"""What two sequences have in common."""

from __future__ import annotations

from collections.abc import Callable


def common_subsequence(rows: int, columns: int, weight: Callable[[int, int], float]) -> list[tuple[int, int]]:
    """The series of pairs that ascends in both and weighs most: a longest common subsequence where all weigh the same.

    Args:
        rows, columns: lengths of two sequences.
        weight: of a pair of positions; 0 where they do not match.
    """
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for i in reversed(range(rows)):
        for j in reversed(range(columns)):
            best[i][j] = max(best[i + 1][j + 1] + weight(i, j), best[i + 1][j], best[i][j + 1])
    pairs, i, j = [], 0, 0
    while best[i][j]:
        value = weight(i, j)
        if value and best[i][j] == best[i + 1][j + 1] + value:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs
