"""The feed-forward network computes the same in training as outside it."""

import torch

from wenet_lite.model.feed_forward import PositionwiseFeedForward


def test_training_agrees_with_evaluation() -> None:
    torch.manual_seed(0)
    module = PositionwiseFeedForward(16, 48, 0.0, torch.nn.SiLU())
    x = torch.randn(3, 7, 16, requires_grad=True)
    results = []
    for training in (True, False):
        out = module.train(training)(x)
        results.append([out, *torch.autograd.grad(out.square().sum(), [x, *module.parameters()])])
    for trained, evaluated in zip(*results):
        torch.testing.assert_close(trained, evaluated, rtol=1e-5, atol=1e-5)
