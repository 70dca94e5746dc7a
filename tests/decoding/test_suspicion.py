"""Wrong transcripts come first; the right ones stay below the line."""

import torch

from wenet_lite.decoding.alignment import Alignment, CtcAligner
from wenet_lite.decoding.suspicion import Suspicion, gap_per_frame, ranked, suspicion, suspicious_score
from wenet_lite.decoding.words import word_spans

UNITS = ["<blank>", "<unk>", "<sos/eos>", *(f"▁{letter}" for letter in "ABCDEFGH")]


def posteriors(tokens: list[int], seed: int) -> torch.Tensor:
    """Two frames a token and a blank after it, seen through noise."""
    generator = torch.Generator().manual_seed(seed)
    path = [unit for token in tokens for unit in (token, token, 0)]
    logits = torch.randn(len(path), len(UNITS), generator=generator)
    logits[torch.arange(len(path)), torch.tensor(path)] += 6
    return logits.log_softmax(-1)


def judge(key: str, log_probs: torch.Tensor, tokens: list[int]) -> Suspicion:
    found = CtcAligner(0)(log_probs[None], torch.tensor([len(log_probs)]), [tokens])[0]
    assert isinstance(found, Alignment)
    return suspicion(key, gap_per_frame(found, log_probs), word_spans(found.spans, UNITS), "A B")


def test_planted_transcripts_come_first_and_only_they_are_suspicious() -> None:
    generator = torch.Generator().manual_seed(0)
    spoken = {f"u{i:02d}": torch.randint(3, len(UNITS), (8,), generator=generator).tolist() for i in range(40)}
    written = spoken | {"u03": spoken["u20"], "u11": spoken["u03"][:3], "u30": []}
    written["u25"] = [*spoken["u25"][:4], 3 + (spoken["u25"][4] - 2) % 8, *spoken["u25"][5:]]
    found = ranked([judge(key, posteriors(spoken[key], i), written[key]) for i, key in enumerate(spoken)])
    assert {each.key for each in found[:4]} == {"u03", "u11", "u25", "u30"}
    limit = suspicious_score([each.score for each in found])
    assert [each.score >= limit for each in found] == [True] * 4 + [False] * 36


def test_the_reason_names_the_word_that_fits_worst() -> None:
    log_probs = posteriors([3, 4, 5], 0)
    assert judge("u", log_probs, [3, 9, 5]).reason == "fits worst at 'G'; heard: A B"
    assert judge("u", log_probs, []).reason == "has no words; heard: A B"
    assert judge("u", log_probs, [3, 4, 5]).score < 0.5


def test_a_list_of_poor_posteriors_is_not_all_suspicious() -> None:
    assert suspicious_score([3.0, 3.1, 2.9, 3.2, 9.0]) < 9.0
    assert suspicious_score([3.0, 3.1, 2.9, 3.2, 9.0]) > 3.2
    assert suspicious_score([]) == suspicious_score([0.0, 0.0]) == 0.5
