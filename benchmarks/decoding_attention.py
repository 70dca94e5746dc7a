"""Speed of the attention decoder's searches against WeNet's, on one thread.

    python benchmarks/decoding_attention.py --wenet <WeNet checkout> [--repeats 7]

Both sides have the same random weights, U2++ of conf/u2pp_conformer.yaml, and 250 encoder frames an utterance; ours is
laid out for the CPU, as in the recogniser. Candidates take turns; ratios are of medians. An n-best has ten hypotheses
of about 52 tokens. They differ at a few places, like those of real lists mostly late ones, since the search has settled
what is long past: of the prefixes of a list about a quarter are distinct, of its suffixes three quarters.
Random weights never end a sequence, so that the searches are made to after 52 tokens. Peak memory is that of a fresh
process each, above what it held before.
"""

from __future__ import annotations

import argparse
import functools
import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))

from candidates import VOCAB_SIZE, experiment, wenet_model
from measure import Row, alternate, apart, machine_line, print_rows, resident
from wenet_checkout import open_checkout

from wenet_lite.decoding.attention_beam import AttentionBeamSearch
from wenet_lite.decoding.attention_rescoring import AttentionRescoring
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.experiment import build_model
from wenet_lite.model.asr_model import EOS_ID, AsrModel
from wenet_lite.runtime.cpu import prepare_for_cpu

BEAM_SIZE = 10
ENCODER_FRAMES = 250
TOKENS = 52
CTC_WEIGHT, REVERSE_WEIGHT = 0.5, 0.3


@dataclass(frozen=True)
class Workload:
    """Two models of the same weights and what they decode.

    Attributes:
        ours: our model, laid out for the CPU.
        theirs: WeNet's.
        encoder_out: (utterances, frames, dim).
        nbest: of each utterance.
    """

    ours: AsrModel
    theirs: Any
    encoder_out: Tensor
    nbest: list[list[Hypothesis]]


class Ending(nn.Module):
    """An output layer that after so many calls wants the end symbol.

    Args:
        layer: the output layer.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.calls = layer, 0

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) to (..., vocab) logits."""
        logits: Tensor = self.layer(x)
        if self.calls == TOKENS:
            logits[..., EOS_ID] += 100.0
        self.calls += 1
        return logits


def random_nbest(draw: random.Random) -> list[Hypothesis]:
    """Hypotheses that take one of two readings, of 0 to 2 tokens, at a few places of a sequence."""
    pieces = [[draw.randrange(3, VOCAB_SIZE)] for _ in range(TOKENS)]
    other: dict[int, list[int]] = {}
    while len(other) < 5:
        size = draw.choice([0, 1, 1, 1, 2])
        other[int(TOKENS * draw.random() ** 0.3)] = [draw.randrange(3, VOCAB_SIZE) for _ in range(size)]
    found: list[tuple[int, ...]] = []
    while len(found) < BEAM_SIZE:
        taken = {place for place in other if draw.random() < 0.3}
        pieces_taken = (other[place] if place in taken else piece for place, piece in enumerate(pieces))
        tokens = tuple(token for piece in pieces_taken for token in piece)
        if tokens not in found:
            found.append(tokens)
    return [Hypothesis(tokens, -rank / 2) for rank, tokens in enumerate(found)]


def distinct(nbest: list[list[Hypothesis]], step: int) -> float:
    """Share of distinct ones among the prefixes (step 1), or suffixes (step -1), of the lists."""
    prefixes = [[hyp.tokens[::step][:i] for hyp in hyps for i in range(len(hyp.tokens) + 1)] for hyps in nbest]
    return sum(len(set(of_list)) for of_list in prefixes) / sum(map(len, prefixes))


def workload(utterances: int) -> Workload:
    config = experiment("u2pp_conformer.yaml")
    theirs = wenet_model(config).eval()
    ours = build_model(config, VOCAB_SIZE).eval()
    weights = theirs.decoder.state_dict()
    ours.decoder.load_state_dict({name: weights[name] for name in ours.decoder.state_dict()})
    prepare_for_cpu(ours)
    generator = torch.Generator().manual_seed(0)
    encoder_out = torch.randn(utterances, ENCODER_FRAMES, config.model.encoder.output_size, generator=generator)
    draw = random.Random(0)
    return Workload(ours, theirs, encoder_out, [random_nbest(draw) for _ in range(utterances)])


def against(subject: str, goal: float, times: dict[str, float], utterances: int) -> Row:
    """How many times as fast as WeNet's."""
    ratio = times["WeNet"] / times["ours"]
    ours, theirs = (1e3 * times[side] / utterances for side in ("ours", "WeNet"))
    seen = f"{ratio:.1f}x ({ours:.0f} against {theirs:.0f} ms an utterance)"
    return Row(subject, f"{goal:.0f}x", seen, ratio >= goal)


def rescore_as_wenet(work: Workload, reverse_weight: float) -> list[tuple[int, ...]]:
    """The best of each utterance by WeNet's rescoring."""
    from wenet.models.transformer.search import DecodeResult, attention_rescoring

    results = [
        DecodeResult(
            list(hyps[0].tokens),
            nbest=[hyp.tokens for hyp in hyps],
            nbest_scores=[hyp.score for hyp in hyps],
            nbest_times=[[] for _ in hyps],
        )
        for hyps in work.nbest
    ]
    lens = torch.full((len(work.nbest),), ENCODER_FRAMES)
    found = attention_rescoring(work.theirs, results, work.encoder_out, lens, CTC_WEIGHT, reverse_weight)
    return [tuple(result.tokens) for result in found]


def rescore(work: Workload, reverse_weight: float) -> list[tuple[int, ...]]:
    """The best of each utterance by our rescoring."""
    rescoring = AttentionRescoring(work.ours, CTC_WEIGHT, reverse_weight)
    lens = torch.full((len(work.nbest),), ENCODER_FRAMES)
    return [hyps[0].tokens for hyps in rescoring(work.encoder_out, lens, work.nbest)]


def search_as_wenet(work: Workload) -> list[tuple[int, ...]]:
    """The best of each utterance by WeNet's `attention` mode."""
    from wenet.models.transformer.search import attention_beam_search

    work.theirs.decoder.left_decoder.output_layer.calls = 0
    mask = torch.ones(len(work.nbest), 1, ENCODER_FRAMES, dtype=torch.bool)
    return [tuple(result.tokens) for result in attention_beam_search(work.theirs, work.encoder_out, mask, BEAM_SIZE)]


def search(work: Workload) -> list[tuple[int, ...]]:
    """The best of each utterance by our attention beam search."""
    vars(work.ours.left_decoder.output_layer)["calls"] = 0
    lens = torch.full((len(work.nbest),), ENCODER_FRAMES)
    return [hyps[0].tokens for hyps in AttentionBeamSearch(work.ours, BEAM_SIZE, 0.0)(work.encoder_out, lens)]


def turns(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> dict[str, float]:
    """Median seconds of each side, after a check that they find the same."""
    assert ours() == theirs(), "the two sides differ in what they find"
    return alternate({"ours": ours, "WeNet": theirs}, repeats)


@torch.no_grad()
def measure_rescoring(repeats: int) -> Iterator[Row]:
    """Attention rescoring, with the left decoder alone and with both."""
    for utterances in (1, 16):
        work = workload(utterances)
        for reverse_weight, name in ((0.0, "left to right"), (REVERSE_WEIGHT, "both directions")):
            candidates = (functools.partial(side, work, reverse_weight) for side in (rescore, rescore_as_wenet))
            times = turns(*candidates, repeats)
            subject = f"attention rescoring, {name}, batch {utterances}, against WeNet's"
            yield against(subject, 3.0, times, utterances)
    shares = (distinct(work.nbest, step) for step in (1, -1))
    seen = "{:.2f} and {:.2f}".format(*shares)
    yield Row("distinct prefixes and suffixes of these n-best lists", "none", seen, True)


@torch.no_grad()
def peak_of_rescoring(side: str, wenet: Path) -> float:
    """In a process of its own: what rescoring a batch of 16 with both decoders takes at the most, MB."""
    open_checkout(wenet)
    torch.set_num_threads(1)
    work = workload(16)
    before = resident("VmRSS")
    (rescore if side == "ours" else rescore_as_wenet)(work, REVERSE_WEIGHT)
    return resident("VmHWM") - before


def measure_memory(wenet: Path) -> Iterator[Row]:
    """Peak memory of attention rescoring; WeNet's goes through the utterances of a batch one by one."""
    ours, theirs = (apart(peak_of_rescoring, side, wenet) for side in ("ours", "WeNet"))
    seen = f"{ours / theirs:.2f}x ({ours:.0f} against {theirs:.0f} MB)"
    yield Row("peak memory of rescoring, both directions, batch 16", "1x", seen, ours <= theirs)


@torch.no_grad()
def measure_beam(repeats: int) -> Iterator[Row]:
    """Attention beam search."""
    for utterances in (1, 16):
        work = workload(utterances)
        for decoder in (work.ours.left_decoder, work.theirs.decoder.left_decoder):
            decoder.output_layer = Ending(decoder.output_layer)
        times = turns(functools.partial(search, work), functools.partial(search_as_wenet, work), repeats)
        yield against(f"attention beam search, batch {utterances}, against WeNet's", 2.0, times, utterances)


def measure_attention(wenet: Path, repeats: int) -> Iterator[Row]:
    """All rows; the checkout must be open."""
    torch.set_num_threads(1)
    yield from measure_rescoring(repeats)
    yield from measure_memory(wenet)
    yield from measure_beam(repeats)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wenet", type=Path, required=True, help="WeNet checkout to measure against")
    parser.add_argument("--repeats", type=int, default=7, help="turns of each candidate (default: %(default)s)")
    args = parser.parse_args()
    open_checkout(args.wenet)
    print(machine_line())
    return 0 if print_rows(measure_attention(args.wenet, args.repeats)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
