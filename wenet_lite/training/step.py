"""One update of the weights, without waiting for a GPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wenet_lite.training.optimizer import OptimizerConfig, build_optimizer, set_learning_rate
from wenet_lite.training.parallel import Parallel, local, whole

_FIRST_SCALE = 2.0**16
_UPDATES_TO_GROWTH = 2000


class Stepper:
    """Reduces, clips and applies gradients; a gradient that is not finite moves nothing.

    Whether an update was skipped is known on the device alone, until somebody asks. In float16 losses are scaled, so
    that small gradients are not lost: the scale is halved after an update that was skipped, and doubled after 2000 that
    were not (Micikevicius et al., 2018, section 3.2).

    Args:
        model: prepared by `parallel`.
        config: the optimiser.
        parallel: how gradients come together.
        max_norm: largest norm of an update's gradient.
        scaled: whether losses are scaled.
        device: where the model is.
    Attributes:
        optimizer: over the trained parameters.
        loss_scale: what a loss is to be multiplied with before its backward pass; a scalar on the device.
    """

    def __init__(
        self,
        model: nn.Module,
        config: OptimizerConfig,
        parallel: Parallel,
        max_norm: float,
        scaled: bool,
        device: torch.device,
    ) -> None:
        self.optimizer = build_optimizer(model, config)
        self._parallel, self._max_norm, self._scaled = parallel, max_norm, scaled
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self.loss_scale = torch.tensor(_FIRST_SCALE if scaled else 1.0, device=device)
        self._since_growth = torch.zeros((), device=device)

    @property
    def searching(self) -> Tensor:
        """Whether the loss scale may be what makes gradients infinite, a scalar on the device."""
        return self.loss_scale > 1

    @torch.no_grad()
    def step(self, rate: float) -> tuple[Tensor, Tensor]:
        """Move the weights by the gradients that backward passes have summed, and drop these.

        Args:
            rate: learning rate.
        Returns:
            the norm of the gradient before it was clipped, and whether the update was skipped; scalars on the device.
        """
        gradients = [self._gradient(parameter) for parameter in self._parameters]
        self._parallel.reduce(gradients)
        norm = whole(nn.utils.get_total_norm(gradients)) / self.loss_scale
        skipped = ~torch.isfinite(norm)
        factor = (self._max_norm / (norm + 1e-6)).clamp(max=1.0) / self.loss_scale
        torch._foreach_mul_([local(gradient) for gradient in gradients], factor)
        set_learning_rate(self.optimizer, rate)
        self._apply(skipped)
        if self._scaled:
            self._rescale(skipped)
        self.optimizer.zero_grad()
        return norm, skipped

    @staticmethod
    def _gradient(parameter: nn.Parameter) -> Tensor:
        """Zero where there is none: a rank may have had no utterance."""
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        return parameter.grad

    def _apply(self, skipped: Tensor) -> None:
        if getattr(self.optimizer, "_step_supports_amp_scaling", False):
            # torch's fused optimisers look at this on the device: they were made for its gradient scaler.
            self.optimizer.found_inf = skipped.float()  # type: ignore[attr-defined]
            self.optimizer.grad_scale = None  # type: ignore[attr-defined]
            self.optimizer.step()
        elif not skipped:
            self.optimizer.step()

    def _rescale(self, skipped: Tensor) -> None:
        since = torch.where(skipped, 0.0, self._since_growth + 1)
        grows = since >= _UPDATES_TO_GROWTH
        self.loss_scale *= torch.where(skipped, 0.5, torch.where(grows, 2.0, 1.0))
        self._since_growth.copy_(torch.where(grows, 0.0, since))

    def state(self) -> dict[str, Tensor]:
        """The loss scale, for a checkpoint; nothing where losses are not scaled."""
        return {"loss_scale": self.loss_scale, "since_growth": self._since_growth} if self._scaled else {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Put back what `state` told, if losses were scaled then and are now."""
        if not (self._scaled and state):
            return
        self.loss_scale.copy_(state["loss_scale"])
        self._since_growth.copy_(state["since_growth"])
