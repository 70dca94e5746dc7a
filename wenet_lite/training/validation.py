"""Losses and greedy word error rate on the dev set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wenet_lite.data.batch_plan import BatchPlan
from wenet_lite.data.dataset import Batch, SpeechDataset, silent_batch
from wenet_lite.decoding.ctc_greedy import CtcGreedySearch
from wenet_lite.distributed import World, gather_objects, sum_over_ranks
from wenet_lite.features.fbank import Fbank
from wenet_lite.model.asr_model import AsrModel
from wenet_lite.scoring.wer import Unit, align, split_units
from wenet_lite.text.tokenizer import Tokenizer
from wenet_lite.training.unreadable import Unreadable

_SAMPLES = 3


@dataclass(frozen=True)
class Sample:
    """A dev utterance that is shown after each epoch.

    Attributes:
        key: its id.
        reference, hypothesis: what was said, and what greedy CTC has heard.
        posteriors: (frames, vocab) of CTC.
    """

    key: str
    reference: str
    hypothesis: str
    posteriors: Tensor


class Validator:
    """Measures a model on a dev set that the ranks share.

    Args:
        dataset: the dev utterances.
        plan: their batches, without speed perturbation.
        tokenizer: units to text, and the rules that a transcript goes through before it is compared.
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
        tokenizer: Tokenizer,
        fbank: Fbank,
        num_workers: int,
        world: World,
        device: torch.device,
        max_bad_fraction: float,
    ) -> None:
        self.dataset, self.fbank, self.tokenizer, self.num_workers = dataset, fbank, tokenizer, num_workers
        self.world, self.device, self.max_bad_fraction = world, device, max_bad_fraction
        epoch = plan.epoch(0)
        self._share = [epoch.micro_batch(i) for i in range(world.rank, epoch.num_micro_batches, world.size)]
        self._most = -(-epoch.num_micro_batches // world.size)
        self._texts = {utterance.key: tokenizer.rules(utterance.txt) for utterance in dataset.manifest}
        # A language that is written without blanks has its characters counted.
        self._unit: Unit = "word" if any(" " in text for text in self._texts.values()) else "char"
        # The same few, whatever the number of ranks.
        self._shown = {dataset.manifest[int(index)].key for index in sorted(epoch.indices.tolist())[:_SAMPLES]}

    @torch.no_grad()
    def measure(
        self,
        model: AsrModel,
        *,
        in_step: bool = False,
        autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> tuple[dict[str, float], list[Sample]]:
        """Mean losses an utterance with full context, by name, and the WER of greedy CTC in percent (of characters
        where the transcripts have no blanks).

        Args:
            model: to be measured; left in eval mode.
            in_step: whether every rank must run as many forward passes as the others.
            autocast: the context in which the model computes.
        Returns:
            results, the same on every rank, the total loss as `loss`; and samples, on all ranks.
        Raises:
            DataError: if too much of the set cannot be read.
        """
        model.eval()
        self.fbank.eval()
        search = CtcGreedySearch(model.blank_id)
        names = ("loss", *model.loss_parts, "utterances", "errors", "words")
        sums = {name: torch.zeros((), dtype=torch.float64, device=self.device) for name in names}
        unreadable = Unreadable("dev", len(self.dataset.manifest), 0, self.max_bad_fraction, self.world)
        samples: list[Sample] = []
        for batch in self._batches(in_step):
            unreadable.add(batch.failed)
            heard = len(batch.keys) > 0
            if not heard and not in_step:
                continue
            batch = (batch if heard else silent_batch()).to(self.device)
            features, lens = self.fbank(batch.waveforms, batch.num_samples)
            with autocast():
                losses, log_probs, encoder_lens = model.losses_and_posteriors(
                    features, lens, batch.tokens, batch.token_lens
                )
            if not heard:
                continue
            values = {"loss": losses.total, **losses.parts, "utterances": torch.ones_like(losses.total)}
            for name, value in values.items():
                sums[name] += value.double().sum()
            hyps = [self.tokenizer.decode(found[0].tokens) for found in search(log_probs, encoder_lens)]
            refs = [self._texts[key] for key in batch.keys]
            for aligned in align(batch.keys, *([split_units(t, self._unit) for t in texts] for texts in (refs, hyps))):
                sums["errors"] += aligned.counts.errors
                sums["words"] += aligned.counts.ref_words
            for i, key in enumerate(batch.keys):
                if key in self._shown:
                    posteriors = log_probs[i, : encoder_lens[i]].exp().cpu()
                    samples.append(Sample(key, refs[i], hyps[i], posteriors))
        unreadable.report()
        totals = torch.stack(list(sums.values()))
        if self.world.size > 1:
            sum_over_ranks([totals])
        *means, utterances, errors, words = totals.tolist()
        results = {name: value / max(utterances, 1.0) for name, value in zip(names, means)}
        everyone = [sample for found in gather_objects(samples, self.world) for sample in found]
        return {**results, "wer": 100 * errors / max(words, 1.0)}, sorted(everyone, key=lambda sample: sample.key)

    def _batches(self, in_step: bool) -> Iterator[Batch]:
        """This rank's share, filled up with empty ones where all ranks must take as many."""
        yield from self.dataset.load(self._share, self.num_workers)
        for _ in range(self._most - len(self._share) if in_step else 0):
            yield replace(silent_batch(), keys=[])
