"""From a batch of audio to its losses: fbank, SpecAugment, the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from wenet_lite.data.dataset import Batch
from wenet_lite.data.draws import utterance_draws
from wenet_lite.features.spec_augment import spec_augment, spec_sub, spec_trim
from wenet_lite.model.asr_model import Losses
from wenet_lite.model.mask import TrainingChunk
from wenet_lite.training.acceleration import Acceleration
from wenet_lite.training.recipe import Recipe
from wenet_lite.transfer import to_device


class ForwardPass:
    """The losses of a batch, which is augmented by draws of each utterance's own.

    Args:
        recipe: model, features and options.
        acceleration: the precision in which the model computes.
        device: where the model is.
    """

    def __init__(self, recipe: Recipe, acceleration: Acceleration, device: torch.device) -> None:
        self.model, self.fbank, self.seed, self.config = recipe.model, recipe.fbank, recipe.seed, recipe.config
        self.plain_epochs = recipe.plan.config.plain_epochs
        self.acceleration, self.device = acceleration, device

    def __call__(self, batch: Batch, chunk: TrainingChunk) -> Losses:
        """The losses of a batch on the host, whose encoder sees in chunks of `chunk`."""
        lens = self.fbank.num_frames(batch.num_samples)
        taken = zip(batch.occurrences, batch.keys)
        draws = [utterance_draws(self.seed, occurrence, key, "spectrum") for occurrence, key in taken]
        plain = [occurrence < self.plain_epochs for occurrence in batch.occurrences]
        if self.config.spec_trim is not None:
            lens = torch.where(torch.tensor(plain), lens, spec_trim(lens, self.config.spec_trim, draws))
        there = batch.to(self.device)
        features, _ = self.fbank(there.waveforms, there.num_samples)
        view = self._augmented(features, lens, draws, plain)
        rest = (to_device(lens, self.device), there.tokens, there.token_lens, chunk.size, chunk.num_left_chunks)
        with self.acceleration.autocast():
            if self.model.config.cr_ctc_weight and not all(plain):
                return self.model.consistent_losses((view, self._augmented(features, lens, draws, plain)), *rest)
            losses: Losses = self.model(view, *rest)
            return losses

    def _augmented(
        self, features: Tensor, lens: Tensor, draws: Sequence[np.random.Generator], plain: Sequence[bool]
    ) -> Tensor:
        """One view of (batch, frames, bins) features of (batch,) `lens` on the host; drawn anew at each call.

        Where `plain` is true they stay as they are.
        """
        if all(plain):
            return features
        config, recorded = self.config, features
        if config.spec_augment is not None:
            mean = self.model.encoder.global_cmvn.mean
            features = spec_augment(features, lens, mean, config.spec_augment, draws)
        if config.spec_sub is not None:
            features = spec_sub(features, lens, config.spec_sub, draws)
        if any(plain):
            features = torch.where(to_device(torch.tensor(plain), self.device)[:, None, None], recorded, features)
        return features
