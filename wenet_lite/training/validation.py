"""Losses and greedy word error rate on the dev set."""

from __future__ import annotations

import torch
import torch.distributed as dist

from wenet_lite.data.batch_plan import BatchPlan
from wenet_lite.data.dataset import SpeechDataset
from wenet_lite.distributed import World
from wenet_lite.features.fbank import Fbank
from wenet_lite.model.asr_model import AsrModel


class Validator:
    """Measures a model on a dev set that the ranks share.

    Args:
        dataset: the dev utterances.
        plan: their batches, without speed perturbation.
        fbank: the front end.
        num_workers: processes that load data.
        world: this process among the ranks.
        device: where the model is.
    """

    def __init__(
        self,
        dataset: SpeechDataset,
        plan: BatchPlan,
        fbank: Fbank,
        num_workers: int,
        world: World,
        device: torch.device,
    ) -> None:
        self.dataset, self.fbank, self.num_workers = dataset, fbank, num_workers
        self.world, self.device = world, device
        self.share = list(plan.epoch(0).of_rank(world.rank, world.size))

    @torch.no_grad()
    def measure(self, model: AsrModel) -> dict[str, float]:
        """Mean losses an utterance with full context, by name; the total is `loss`.

        Returns:
            the same values on every rank.
        """
        model.eval()
        self.fbank.eval()
        names = ("loss", *model.loss_parts, "utterances")
        sums = {name: torch.zeros((), dtype=torch.float64, device=self.device) for name in names}
        for batch in self.dataset.load(self.share, self.num_workers):
            batch = batch.to(self.device)
            features, lens = self.fbank(batch.waveforms, batch.num_samples)
            losses = model(features, lens, batch.tokens, batch.token_lens)
            values = {"loss": losses.total, **losses.parts, "utterances": torch.ones_like(losses.total)}
            for name, value in values.items():
                sums[name] += value.double().sum()
        totals = torch.stack(list(sums.values()))
        if self.world.size > 1:
            dist.all_reduce(totals)
        *means, utterances = totals.tolist()
        return {name: value / max(utterances, 1.0) for name, value in zip(names, means)}
