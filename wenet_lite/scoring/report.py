"""The table of a run's results, from the files that decoding and scoring left."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wenet_lite.errors import DataError

_WER_LINE = re.compile(r"%WER (\S+) \[ (\d+) / (\d+), (\d+) ins, (\d+) del, (\d+) sub \]")
_MODE_ORDER = ("ctc_greedy_search", "ctc_prefix_beam_search", "attention", "attention_rescoring", "joint_ctc_attention")


@dataclass(frozen=True)
class ResultRow:
    """Attributes:
    test_set: name of the data directory.
    mode: the search.
    fused: what was fused into it, such as `lm`; empty for nothing.
    chunk_size: encoder frames a chunk, -1 for whole utterances.
    num_left_chunks: chunks of history, -1 for all of the past.
    streaming: whether the chunks went through caches.
    wer: word error rate, percent.
    insertions, deletions, substitutions: errors.
    num_words: words of the reference.
    real_time_factor: seconds of computation a second of audio.
    frame_ms: milliseconds an encoder frame.
    """

    test_set: str
    mode: str
    fused: str
    chunk_size: int
    num_left_chunks: int
    streaming: bool
    wer: float
    insertions: int
    deletions: int
    substitutions: int
    num_words: int
    real_time_factor: float
    frame_ms: int


def collect_results(exp_dir: Path) -> list[ResultRow]:
    """Read every `decode_<set>/<mode>*/{wer,decode.json}` of a run.

    Raises:
        DataError: if there is none, or one is malformed.
    """
    rows = []
    for path in sorted(exp_dir.glob("decode_*/*/wer")):
        found = _WER_LINE.search(path.read_text(encoding="utf-8"))
        if found is None:
            raise DataError("holds no %WER line", path=path, cure="run stage 6 again")
        decode = json.loads((path.parent / "decode.json").read_text(encoding="utf-8"))
        errors, words, insertions, deletions, substitutions = (int(n) for n in found.groups()[1:])
        rows.append(
            ResultRow(
                test_set=path.parent.parent.name.removeprefix("decode_"),
                mode=decode["mode"],
                fused=" ".join(name for name in ("lm", "hotwords") if decode.get(name)),
                chunk_size=decode["chunk_size"],
                num_left_chunks=decode.get("num_left_chunks", -1),
                streaming=decode.get("streaming", False),
                wer=100.0 * errors / words if words else 0.0,
                insertions=insertions,
                deletions=deletions,
                substitutions=substitutions,
                num_words=words,
                real_time_factor=decode["real_time_factor"],
                frame_ms=decode.get("frame_ms", 40),
            )
        )
    if not rows:
        raise DataError("holds no decode_*/*/wer", path=exp_dir, cure="stage 6 makes them")
    return sorted(rows, key=_place)


def markdown_table(rows: Sequence[ResultRow]) -> str:
    """The rows as a markdown table; a chunk is given in milliseconds."""
    header = ("set", "mode", "chunk", "WER %", "ins", "del", "sub", "words", "RTF")
    cells = [
        (
            row.test_set,
            row.mode + (f" + {row.fused}" if row.fused else ""),
            _chunk(row),
            f"{row.wer:.2f}",
            str(row.insertions),
            str(row.deletions),
            str(row.substitutions),
            str(row.num_words),
            f"{row.real_time_factor:.4f}",
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in (header, *cells)) for i in range(len(header))]
    lines = [_line(header, widths), "|" + "|".join("-" * (width + 2) for width in widths) + "|"]
    return "\n".join([*lines, *(_line(line, widths) for line in cells)]) + "\n"


def _chunk(row: ResultRow) -> str:
    if row.chunk_size < 0:
        return "whole"
    history = f", left {row.num_left_chunks}" if row.num_left_chunks >= 0 else ""
    return f"{row.chunk_size * row.frame_ms} ms{history}{', stream' if row.streaming else ''}"


def _place(row: ResultRow) -> tuple[str, str, int, bool, int]:
    """By set, what is fused, mode, then from the whole utterance down to the shortest chunk."""
    mode = _MODE_ORDER.index(row.mode) if row.mode in _MODE_ORDER else len(_MODE_ORDER)
    return row.test_set, row.fused, mode, row.chunk_size > 0, -row.chunk_size


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, figures to the right."""
    padded = [cell.ljust(w) if i < 3 else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths))]
    return "| " + " | ".join(padded) + " |"
