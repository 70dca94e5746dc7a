"""Streams of the compiled prefix beam search."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from wenet_lite.decoding.fusion import Fusion, FusionTables
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.decoding.prefix_beam_kernel import LINK, PREFIX, advance, chain, final_extra

_MOST_LINKS = 1 << 16
"""Where there are more, those of prefixes that have left the beam are cleared away."""


class CompiledBeams:
    """The searches of a batch of streams.

    Args:
        batch: streams.
        beam_size: prefixes kept for each.
        blank_id: index of the CTC blank.
        fusion: hotwords and language model of all of them.
    """

    def __init__(self, batch: int, beam_size: int, blank_id: int, fusion: Fusion) -> None:
        self._streams = [_Stream(beam_size, blank_id, fusion.tables) for _ in range(batch)]

    def advance(self, values: Tensor, tokens: Tensor, lens: Tensor) -> None:
        """Take the frames of `Tried`."""
        rows = zip(self._streams, values.cpu().numpy(), tokens.cpu().numpy(), lens.tolist())
        for stream, of_row, tokens_of_row, length in rows:
            stream.advance(of_row[:length], tokens_of_row[:length])

    def hypotheses(self, most: int | None = None) -> list[list[Hypothesis]]:
        """As `CtcPrefixBeam.hypotheses`, of each stream; the first `most`, or all."""
        return [stream.hypotheses(most) for stream in self._streams]


class _Stream:
    def __init__(self, beam_size: int, blank_id: int, tables: FusionTables) -> None:
        self._beam_size, self._blank_id, self._tables = beam_size, blank_id, tables
        self._num_frames = 0
        self._beam = np.zeros(1, PREFIX)
        for name in ("times_blank", "times_token", "tokens", "last", "parent_digest"):
            self._beam[name] = -1
        self._beam["token"] = -math.inf
        self._beam["context"] = tables.hotword_start
        self._beam["extra"] = tables.nodes["potential"][tables.hotword_start]
        self._beam["lm_state"] = self._beam["end_state"] = tables.words.start
        self._links = np.empty(0, LINK)
        self._used = self._held = 0

    def advance(self, values: np.ndarray, tokens: np.ndarray) -> None:
        self._make_room(3 * self._beam_size * len(values))
        self._beam, self._used = advance(
            self._beam, values, tokens, self._num_frames, self._blank_id, self._beam_size, self._links, self._used,
            self._tables,
        )  # fmt: skip
        self._num_frames += len(values)

    def hypotheses(self, most: int | None) -> list[Hypothesis]:
        extra = final_extra(self._beam, self._tables)
        scores = self._beam["total"] + extra
        hyps = []
        for i in np.argsort(-scores, kind="stable")[:most].tolist():
            prefix = self._beam[i]
            of_blank = prefix["best_blank"] > prefix["best_token"]
            times, tokens = (
                tuple(chain(self._links, link).tolist())
                for link in (prefix["times_blank" if of_blank else "times_token"], prefix["tokens"])
            )
            hyps.append(Hypothesis(tokens, float(scores[i]), times, float(extra[i])))
        return hyps

    def _make_room(self, more: int) -> None:
        if self._used > max(_MOST_LINKS, 2 * self._held):
            self._clear_away()
        if self._used + more > len(self._links):
            links = np.empty(2 * (self._used + more), LINK)
            links[: self._used] = self._links[: self._used]
            self._links = links

    def _clear_away(self) -> None:
        """Keep what the prefixes of the beam still hold; links come after those before them, and stay so."""
        chains = ("times_blank", "times_token", "tokens")
        held = np.zeros(self._used, np.bool_)
        for link in np.concatenate([self._beam[name] for name in chains]).tolist():
            while link >= 0 and not held[link]:
                held[link] = True
                link = int(self._links["before"][link])
        places = np.append(np.cumsum(held) - 1, -1)  # the last one is for -1
        kept = self._links[: self._used][held]
        kept["before"] = places[kept["before"]]
        for name in chains:
            self._beam[name] = places[self._beam[name]]
        self._links, self._used, self._held = kept, len(kept), len(kept)
