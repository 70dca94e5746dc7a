"""Forced alignment: brute force and torchaudio are the oracles, batches change nothing."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.decoding.alignment import Alignment, CtcAligner, Unalignable
from wenet_lite.decoding.compilation import HAS_NUMBA


def random_log_probs(frames: int, vocab: int, seed: int) -> torch.Tensor:
    logits = torch.randn(frames, vocab, generator=torch.Generator().manual_seed(seed)) * 2
    return logits.log_softmax(-1)


def align_one(log_probs: torch.Tensor, tokens: tuple[int, ...]) -> Alignment | Unalignable:
    """By either form of the search, which agree to the bit."""
    found = [
        CtcAligner(0, compiled=form)(log_probs[None], torch.tensor([len(log_probs)]), [tokens])[0]
        for form in {False, HAS_NUMBA}
    ]
    assert found[0] == found[-1]
    return found[0]


def path_of(alignment: Alignment) -> list[int]:
    path = [0] * len(alignment.frame_log_probs)
    for span in alignment.spans:
        path[span.start : span.end] = [span.token] * (span.end - span.start)
    return path


def best_path(log_probs: torch.Tensor, tokens: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
    paths = itertools.product({0, *tokens}, repeat=len(log_probs))
    spelling = [path for path in paths if tuple(t for t, _ in itertools.groupby(path) if t != 0) == tokens]
    scores = {path: sum(float(log_probs[t, token]) for t, token in enumerate(path)) for path in spelling}
    return max(((score, path) for path, score in scores.items()), default=(-torch.inf, ()))


@given(frames=st.integers(1, 6), tokens=st.lists(st.integers(1, 3), max_size=4), seed=st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_the_alignment_is_the_best_of_all_paths(frames: int, tokens: list[int], seed: int) -> None:
    log_probs = random_log_probs(frames, 4, seed)
    score, path = best_path(log_probs, tuple(tokens))
    found = align_one(log_probs, tuple(tokens))
    if not path:
        assert isinstance(found, Unalignable)
        return
    assert isinstance(found, Alignment)
    assert tuple(path_of(found)) == path
    assert found.score == pytest.approx(score, abs=1e-4)
    for span in found.spans:
        assert span.log_probs == pytest.approx(log_probs[span.start : span.end, span.token].tolist())


@given(seed=st.integers(0, 1000), repeats=st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_alone_equals_in_a_batch_and_equals_torchaudio(seed: int, repeats: int) -> None:
    functional = pytest.importorskip("torchaudio.functional")
    generator = torch.Generator().manual_seed(seed)
    lens = torch.randint(20, 60, (4,), generator=generator)
    log_probs = torch.stack([random_log_probs(60, 12, seed + i) for i in range(4)])
    tokens = [torch.randint(1, 12, (n,), generator=generator).tolist() for n in (9, 1, 15, 4)]
    tokens[0] += tokens[0][-1:] * repeats
    together = CtcAligner(0)(log_probs, lens, tokens)
    assert together == CtcAligner(0, compiled=False)(log_probs, lens, tokens)
    for row, length, ids, found in zip(log_probs, lens.tolist(), tokens, together):
        assert found == align_one(row[:length], tuple(ids))
        path, scores = functional.forced_align(row[None, :length], torch.tensor([ids], dtype=torch.int32), blank=0)
        assert path_of(found) == path[0].tolist()
        assert found.frame_log_probs == pytest.approx(scores[0].tolist())


@given(frames=st.integers(1, 12), tokens=st.lists(st.integers(1, 2), max_size=6), seed=st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_both_forms_choose_the_same_of_equal_paths(frames: int, tokens: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_probs = torch.tensor([0.0, -1.0, -2.0, -torch.inf])[torch.randint(0, 4, (frames, 3), generator=generator)]
    found = align_one(log_probs, tuple(tokens))
    if isinstance(found, Alignment):
        assert found.score > -torch.inf


def test_what_cannot_be_aligned_says_why() -> None:
    log_probs = random_log_probs(3, 4, 0)
    impossible = log_probs.clone()
    impossible[:, 2] = -torch.inf
    assert align_one(log_probs, (1, 2, 2)) == Unalignable("needs 4 encoder frames for its 3 units, has 3")
    assert align_one(impossible, (1, 2)) == Unalignable("has units of probability 0 on every path")
    assert isinstance(align_one(log_probs, (1, 2, 3)), Alignment)


def test_no_tokens_are_all_blank_and_no_frames_have_no_spans() -> None:
    log_probs = random_log_probs(5, 4, 0)
    assert align_one(log_probs, ()) == Alignment((), tuple(log_probs[:, 0].tolist()))
    assert align_one(log_probs[:0], ()) == Alignment((), ())
    assert CtcAligner(0)(log_probs[None][:0], torch.zeros(0), []) == []
