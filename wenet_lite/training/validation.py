"""Losses and greedy word error rate on the dev set."""

from __future__ import annotations

import logging

import torch
import torch.distributed as dist

from wenet_lite.data.batch_plan import BatchPlan
from wenet_lite.data.dataset import SpeechDataset
from wenet_lite.distributed import World, gather_objects
from wenet_lite.errors import DataError
from wenet_lite.features.fbank import Fbank
from wenet_lite.model.asr_model import AsrModel

_LOG = logging.getLogger(__name__)


class Validator:
    """Measures a model on a dev set that the ranks share.

    Args:
        dataset: the dev utterances.
        plan: their batches, without speed perturbation.
        fbank: the front end.
        num_workers: processes that load data.
        world: this process among the ranks.
        device: where the model is.
        max_bad_fraction: part of the dev set that may be unreadable.
    """

    def __init__(
        self,
        dataset: SpeechDataset,
        plan: BatchPlan,
        fbank: Fbank,
        num_workers: int,
        world: World,
        device: torch.device,
        max_bad_fraction: float,
    ) -> None:
        self.max_bad_fraction = max_bad_fraction
        self.dataset, self.fbank, self.num_workers = dataset, fbank, num_workers
        self.world, self.device = world, device
        self.share = list(plan.epoch(0).of_rank(world.rank, world.size))

    @torch.no_grad()
    def measure(self, model: AsrModel) -> dict[str, float]:
        """Mean losses an utterance with full context, by name; the total is `loss`.

        Returns:
            the same values on every rank.
        Raises:
            DataError: if too much of the set cannot be read.
        """
        model.eval()
        self.fbank.eval()
        names = ("loss", *model.loss_parts, "utterances")
        sums = {name: torch.zeros((), dtype=torch.float64, device=self.device) for name in names}
        failed: dict[str, str] = {}
        for batch in self.dataset.load(self.share, self.num_workers):
            failed.update(batch.failed)
            if not batch.keys:
                continue
            batch = batch.to(self.device)
            features, lens = self.fbank(batch.waveforms, batch.num_samples)
            losses = model(features, lens, batch.tokens, batch.token_lens)
            values = {"loss": losses.total, **losses.parts, "utterances": torch.ones_like(losses.total)}
            for name, value in values.items():
                sums[name] += value.double().sum()
        self._report_failed(failed)
        totals = torch.stack(list(sums.values()))
        if self.world.size > 1:
            dist.all_reduce(totals)
        *means, utterances = totals.tolist()
        return {name: value / max(utterances, 1.0) for name, value in zip(names, means)}

    def _report_failed(self, failed: dict[str, str]) -> None:
        merged = {key: reason for part in gather_objects(failed, self.world) for key, reason in part.items()}
        if self.world.is_main:
            for key, reason in sorted(merged.items()):
                _LOG.warning("dev utterance %s left out: %s", key, reason)
        total = len(self.dataset.manifest)
        if len(merged) > self.max_bad_fraction * total:
            message = f"{len(merged)} of {total} dev utterances could not be read, more than training.max_bad_fraction"
            raise DataError(f"{message} {self.max_bad_fraction}; such as {min(merged.values())}")
