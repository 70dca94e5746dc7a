"""CTC searches: brute force is the oracle, WeNet's results are met, streams equal batches."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prefix_beam_forms import both_forms, needs_numba

from wenet_lite.decoding.ctc_greedy import CtcGreedySearch
from wenet_lite.decoding.ctc_prefix_beam import CtcPrefixBeam, CtcPrefixBeamSearch


def random_log_probs(frames: int, vocab: int, seed: int) -> torch.Tensor:
    logits = torch.randn(frames, vocab, generator=torch.Generator().manual_seed(seed)) * 2
    return logits.log_softmax(-1)


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token != 0)


def all_prefixes(log_probs: torch.Tensor) -> dict[tuple[int, ...], float]:
    """log p(prefix | x) of every prefix, by summing over every path."""
    totals: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        score = sum(float(log_probs[t, token]) for t, token in enumerate(path))
        prefix = collapse(path)
        totals[prefix] = totals.get(prefix, 0.0) + math.exp(score)
    return {prefix: math.log(total) for prefix, total in totals.items()}


@both_forms
@given(frames=st.integers(1, 5), vocab=st.integers(2, 4), seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_wide_beam_finds_the_most_probable_prefixes(compiled: bool, frames: int, vocab: int, seed: int) -> None:
    log_probs = random_log_probs(frames, vocab, seed)
    expected = all_prefixes(log_probs)
    found = CtcPrefixBeamSearch(beam_size=300, blank_id=0, compiled=compiled)(log_probs[None], torch.tensor([frames]))[
        0
    ]
    assert {hyp.tokens for hyp in found} == set(expected)
    for hyp in found:
        assert hyp.score == pytest.approx(expected[hyp.tokens], abs=1e-4)
        assert len(hyp.times) == len(hyp.tokens) and list(hyp.times) == sorted(set(hyp.times))
    assert [hyp.score for hyp in found] == sorted((hyp.score for hyp in found), reverse=True)


@given(frames=st.integers(1, 6), vocab=st.integers(2, 4), seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_greedy_is_the_best_path(frames: int, vocab: int, seed: int) -> None:
    log_probs = random_log_probs(frames, vocab, seed)
    paths = itertools.product(range(vocab), repeat=frames)
    score = lambda path: sum(float(log_probs[t, token]) for t, token in enumerate(path))
    best = max(paths, key=score)
    hyp = CtcGreedySearch(0)(log_probs[None], torch.tensor([frames]))[0][0]
    assert hyp.tokens == collapse(best)
    assert hyp.score == pytest.approx(score(best), abs=1e-4)


@both_forms
@given(portions=st.lists(st.integers(0, 12), min_size=1, max_size=6), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_stream_in_any_portions_equals_the_whole(compiled: bool, portions: list[int], seed: int) -> None:
    log_probs = random_log_probs(sum(portions), 8, seed)
    beam = CtcPrefixBeam(beam_size=5, blank_id=0, compiled=compiled)
    for part in log_probs.split(portions):
        beam.advance(part)
    search = CtcPrefixBeamSearch(5, 0, compiled=compiled)
    assert beam.hypotheses() == search(log_probs[None], torch.tensor([len(log_probs)]))[0]
    assert beam.best() == beam.hypotheses()[0]


@needs_numba
@given(frames=st.integers(0, 30), vocab=st.integers(2, 9), beam=st.integers(1, 12), seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_both_forms_are_the_same_search(frames: int, vocab: int, beam: int, seed: int) -> None:
    log_probs, lens = (
        random_log_probs(2 * frames, vocab, seed).view(2, frames, vocab),
        torch.tensor([frames, frames // 2]),
    )
    results = [CtcPrefixBeamSearch(beam, 0, compiled=compiled)(log_probs, lens) for compiled in (True, False)]
    for compiled, in_tensors in zip(*results):
        assert [(hyp.tokens, hyp.times) for hyp in compiled] == [(hyp.tokens, hyp.times) for hyp in in_tensors]
        assert [hyp.score for hyp in compiled] == pytest.approx([hyp.score for hyp in in_tensors], abs=1e-9)


@needs_numba
def test_a_stream_of_hours_forgets_what_no_prefix_holds() -> None:
    log_probs = random_log_probs(400, 6, 0)
    log_probs[20:] += torch.tensor([9.0, 0, 0, 0, 0, 0])  # then silence
    log_probs = log_probs.log_softmax(-1)
    beam, whole = CtcPrefixBeam(5, 0, compiled=True), CtcPrefixBeam(5, 0, compiled=True)
    whole.advance(torch.cat([log_probs] * 40))
    for _ in range(40):
        for part in log_probs.split(7):
            beam.advance(part)
    assert beam.hypotheses() == whole.hypotheses()
    (stream,) = beam._beam._streams
    assert stream._used < 80_000  # of 240,000 links that were made
    stream._clear_away()
    assert stream._used < 10_000 and beam.hypotheses() == whole.hypotheses()


@both_forms
def test_alone_equals_in_a_batch(compiled: bool) -> None:
    rows = [random_log_probs(n, 6, n) for n in (9, 4, 0)]
    padded = torch.zeros(3, 9, 6)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    lens = torch.tensor([9, 4, 0])
    for search in (CtcGreedySearch(0), CtcPrefixBeamSearch(4, 0, compiled=compiled)):
        for row, together in zip(rows, search(padded, lens)):
            assert together == search(row[None], torch.tensor([len(row)]))[0]
    assert CtcPrefixBeamSearch(4, 0)(padded, lens)[2][0].tokens == ()


@both_forms
@pytest.mark.parametrize("context", ["full", "chunk16"])
def test_results_are_wenets(golden, context: str, compiled: bool) -> None:
    reference = torch.load(golden / "u2pp" / "golden.pt", weights_only=True)
    log_probs, lens = reference[f"ctc_logprobs_{context}"], reference["encoder_lens"]
    expected = reference[f"decode_{context}"]
    for found, wanted in zip(
        CtcPrefixBeamSearch(10, 0, compiled=compiled)(log_probs, lens), expected["ctc_prefix_beam_search"]
    ):
        assert [hyp.tokens for hyp in found] == [tuple(tokens) for tokens in wanted["nbest"]]
        assert [hyp.score for hyp in found] == pytest.approx(wanted["nbest_scores"], abs=1e-4)
        assert [hyp.times for hyp in found] == [tuple(times) for times in wanted["nbest_times"]]
    for found, wanted in zip(CtcGreedySearch(0)(log_probs, lens), expected["ctc_greedy_search"]):
        assert found[0].tokens == tuple(wanted["tokens"])


@needs_numba
def test_without_a_folder_for_compiled_code_it_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core import caching

    from wenet_lite.decoding.compilation import compiled

    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    assert compiled(lambda x: x + 1)(2) == 3
