"""Error rate, latency and flicker by chunk and history: a table, and JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

_SCHEMA = 1
_COLUMNS = (
    "chunk",
    "history",
    "WER %",
    "95 % interval",
    "wait, mean ms",
    "worst ms",
    "emission, median ms",
    "95 % ms",
    "flicker",
)
_NUM_LEFT = 2


@dataclass(frozen=True)
class ChunkRow:
    """What was measured with one chunk size and history; None where there is nothing to measure.

    Attributes:
        mode: search for the final text.
        chunk_size: encoder frames a chunk, -1 for whole utterances.
        num_left_chunks: chunks of history, -1 for all.
        frame_ms: milliseconds an encoder frame.
        num_utterances, num_words: utterances that were scored, and words of their references.
        wer, wer_low, wer_high: word error rate and its 95 % interval, percent.
        wait_mean_ms, wait_worst_ms: by construction, without computation, from a sound until its chunk is complete. A
            chunk is complete `latency_ms` after it begins: its length, less a frame, with what the front end needs
            after a frame's first sample (`streaming_context`). That is the worst, met by the chunk's first sound; the
            mean is half a chunk less. None for whole utterances, which are complete where they end.
        emission_median_ms, emission_95_ms: measured from the end of a word, by forced alignment of the final text with
            the posteriors of the whole utterance, until the word is shown for good (`steadiness`); median and 95th
            percentile of the words.
        flicker: words of partial results that were taken back or replaced (`steadiness`), per 100 words of final texts.
        num_streamed: utterances that were heard as streams for the measured columns.
        num_timed_words: words of their final texts that could be aligned.
        counts_computation: whether emission includes the measured computation.
    """

    mode: str
    chunk_size: int
    num_left_chunks: int
    frame_ms: int
    num_utterances: int
    num_words: int
    wer: float
    wer_low: float
    wer_high: float
    wait_mean_ms: float | None
    wait_worst_ms: float | None
    emission_median_ms: float | None
    emission_95_ms: float | None
    flicker: float | None
    num_streamed: int
    num_timed_words: int
    counts_computation: bool

    @property
    def chunk(self) -> str:
        """The chunk's length in words."""
        return "whole" if self.chunk_size < 0 else f"{self.chunk_size * self.frame_ms} ms"

    @property
    def history(self) -> str:
        """The history's length in words."""
        if self.chunk_size < 0:
            return "-"
        if self.num_left_chunks < 0:
            return "all"
        return f"{self.num_left_chunks * self.chunk_size * self.frame_ms} ms"


def chunk_table(rows: Sequence[ChunkRow]) -> str:
    """The rows as a markdown table."""
    table = [_COLUMNS, *map(_cells, rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(_COLUMNS))]
    rule = ["-" * (width + 1) + (":" if i >= _NUM_LEFT else "-") for i, width in enumerate(widths)]
    lines = [_line(line, widths) for line in table]
    return "\n".join([lines[0], "|" + "|".join(rule) + "|", *lines[1:]]) + "\n"


def chunk_json_lines(rows: Sequence[ChunkRow]) -> list[str]:
    """Each row as a JSON object, with the schema's version."""
    return [json.dumps({"schema": _SCHEMA, **asdict(row)}) for row in rows]


def _cells(row: ChunkRow) -> tuple[str, ...]:
    times = (row.wait_mean_ms, row.wait_worst_ms, row.emission_median_ms, row.emission_95_ms)
    return (
        row.chunk,
        row.history,
        f"{row.wer:.2f}",
        f"{row.wer_low:.2f} to {row.wer_high:.2f}",
        *("-" if time is None else f"{time:.0f}" for time in times),
        "-" if row.flicker is None else f"{row.flicker:.1f}",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, figures to the right."""
    padded = [cell.ljust(w) if i < _NUM_LEFT else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths))]
    return "| " + " | ".join(padded) + " |"
