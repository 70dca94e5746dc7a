"""Losses against their definitions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.model.asr_model import AsrModel
from wenet_lite.model.decoder import TransformerDecoderConfig
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.losses import PAD, consistency_loss, ctc_loss, label_smoothing_loss, token_accuracy
from wenet_lite.model.model_config import ModelConfig


@given(seed=st.integers(0, 1000), smoothing=st.sampled_from([0.0, 0.1, 0.5]), vocab=st.integers(2, 9))
@settings(deadline=None, max_examples=30)
def test_label_smoothing_is_the_divergence_from_smoothed_targets(seed: int, smoothing: float, vocab: int) -> None:
    torch.manual_seed(seed)
    logits, targets = torch.randn(3, 5, vocab), torch.randint(0, vocab, (3, 5))
    lens = torch.tensor([5, 2, 0])
    targets[torch.arange(5) >= lens.unsqueeze(1)] = PAD
    for row, target, loss in zip(logits, targets, label_smoothing_loss(logits, targets, smoothing)):
        expected = torch.zeros(())
        for scores, token in zip(row, target[target != PAD]):
            wanted = torch.full((vocab,), smoothing / (vocab - 1))
            wanted[token] = 1 - smoothing
            expected = expected + torch.nn.functional.kl_div(scores.log_softmax(-1), wanted, reduction="sum")
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-4)


def test_a_target_longer_than_the_input_costs_nothing_and_gives_no_gradient() -> None:
    logits = torch.randn(2, 4, 5, requires_grad=True)
    targets = torch.tensor([[1, 1, 1, 2], [3, PAD, PAD, PAD]])  # the first needs six frames
    losses = ctc_loss(logits.log_softmax(-1), torch.tensor([4, 4]), targets, torch.tensor([4, 1]))
    losses.sum().backward()
    assert losses[0] == 0 and losses[1] > 0
    assert torch.isfinite(logits.grad).all() and (logits.grad[0] == 0).all()


def test_accuracy_counts_valid_tokens_only() -> None:
    logits = torch.eye(4)[[0, 1, 2, 3]].unsqueeze(0)
    assert token_accuracy(logits, torch.tensor([[0, 1, 0, PAD]])).item() == pytest.approx(2 / 3)


def test_consistency_is_the_symmetric_divergence_of_valid_frames() -> None:
    torch.manual_seed(0)
    first, second = (torch.randn(2, 5, 4).log_softmax(-1).requires_grad_() for _ in range(2))
    loss = consistency_loss(first, second, torch.tensor([5, 3]))
    for row, length in enumerate([5, 3]):
        p, q = first[row, :length].exp(), second[row, :length].exp()
        expected = 0.5 * (q * (q / p).log()).sum() + 0.5 * (p * (p / q).log()).sum()
        torch.testing.assert_close(loss[row], expected)
    loss.sum().backward()  # a gradient flows to the one that follows, not to its target
    torch.testing.assert_close(first.grad[0], -0.5 * second[0].detach().exp())
    assert (first.grad[1, 3:] == 0).all()
    same = first.detach()
    assert consistency_loss(same, same, torch.tensor([5, 3])).abs().max() == 0


def test_two_views_count_alike_and_their_consistency_has_its_weight() -> None:
    torch.manual_seed(0)
    encoder = EncoderConfig(output_size=16, attention_heads=2, linear_units=32, num_blocks=1, subsampling_channels=4)
    model = AsrModel(ModelConfig(encoder, TransformerDecoderConfig(2, 32, 1), cr_ctc_weight=0.4), 20, 11).eval()
    views = torch.randn(2, 60, 20), torch.randn(2, 60, 20)
    lens = torch.tensor([60, 40])
    rest = lens, torch.tensor([[3, 4, 5], [6, 7, PAD]]), torch.tensor([3, 2])
    both = model.consistent_losses(views, *rest)
    first, second = (model(view, *rest) for view in views)
    log_probs = [model.ctc_log_probs(model.encoder(view, lens)[0]) for view in views]
    consistency = consistency_loss(*log_probs, torch.tensor([14, 9]))
    torch.testing.assert_close(both.parts["cr_ctc"], consistency, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both.total, (first.total + second.total) / 2 + 0.4 * consistency, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(both.parts["ctc"], (first.parts["ctc"] + second.parts["ctc"]) / 2, rtol=1e-5, atol=1e-4)
