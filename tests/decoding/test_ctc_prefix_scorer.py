"""CTC prefix scores: the sum over all sequences that begin so is the oracle."""

import pytest
import torch
from decoding_oracles import WORDS, ctc_score, sequences
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.decoding.ctc_prefix_scorer import CtcPrefixScorer


@given(seed=st.integers(0, 500), frames=st.integers(1, 4), padding=st.integers(0, 2), length=st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_prefix_scores_sum_over_all_that_begins_so(seed: int, frames: int, padding: int, length: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(1, frames + padding, 5, generator=generator)
    logits[..., 2] = -torch.inf
    log_probs = logits.log_softmax(dim=2)
    prefix = tuple(WORDS[int(i)] for i in torch.randint(3, (length,), generator=generator))
    scorer = CtcPrefixScorer(log_probs, torch.tensor([frames]), 0)
    prefixes = scorer.start(1)
    for token in prefix:
        prefixes = scorer.extend(prefixes, torch.tensor([[token]]))
    scores = {tokens: ctc_score(log_probs[0, :frames], tokens) for tokens in sequences(frames)}
    if length <= frames:
        assert float(scorer.whole(prefixes)) == pytest.approx(scores[prefix], abs=1e-4)
    for token, found in zip(WORDS, scorer.extended(prefixes, torch.tensor([[WORDS]]))[0, 0].tolist()):
        begun = [score for tokens, score in scores.items() if tokens[: length + 1] == (*prefix, token)]
        expected = float(torch.tensor(begun).logsumexp(0)) if begun else -torch.inf
        assert found == pytest.approx(expected, abs=1e-4)


def test_prefix_scores_of_a_long_utterance_are_exact() -> None:
    torch.manual_seed(0)
    log_probs = (10 * torch.randn(1, 3000, 5)).log_softmax(dim=2)
    tokens = tuple(WORDS[i % 3] for i in range(1000))
    scorer = CtcPrefixScorer(log_probs, torch.tensor([3000]), 0)
    prefixes = scorer.start(1)
    for token in tokens:
        prefixes = scorer.extend(prefixes, torch.tensor([[token]]))
    assert float(scorer.whole(prefixes)) == pytest.approx(ctc_score(log_probs[0], tokens), rel=1e-6)
