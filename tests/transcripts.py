"""Small files of transcripts, and scores of small sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wenet_lite.scoring.wer import Scores, align


def write(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def scores_of(*pairs: tuple[str, str]) -> Scores:
    """Scores of (reference, hypothesis) texts, whose ids are u0, u1, ..."""
    refs, hyps = ([pair[side].split() for pair in pairs] for side in (0, 1))
    return Scores(tuple(align([f"u{i}" for i in range(len(pairs))], refs, hyps)), ())
