"""Speed of the CTC searches, on one thread: against WeNet's, and of what is fused into them.

Posteriors that nobody trained are sharp: at each frame a token of 5002 has a logit of 12 above noise. Those of a
trained model are of real utterances, to which `Trained` leads. Candidates take turns; ratios are of medians.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from measure import Row, alternate
from torch import Tensor

from wenet_lite.data.dataset import SpeechDataset
from wenet_lite.data.manifest import read_manifest
from wenet_lite.data.reading_plan import reading_plan
from wenet_lite.decoding.ctc_greedy import CtcGreedySearch
from wenet_lite.decoding.ctc_prefix_beam import CtcPrefixBeamSearch
from wenet_lite.decoding.fusion import NO_FUSION, Fusion, WordLm
from wenet_lite.decoding.hotword_list import spell_hotwords
from wenet_lite.decoding.hotwords import DEFAULT_SCORE, Hotword
from wenet_lite.decoding.ngram_estimation import EstimationOptions, estimate_lm
from wenet_lite.experiment import read_experiment
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.runtime.cpu import prepare_for_cpu
from wenet_lite.runtime.model_dir import LoadedModel, ModelDescription, load_model

BEAM_SIZE = 10
FRAMES, VOCAB_SIZE = 250, 5002


@dataclass(frozen=True)
class Trained:
    """A trained model, and utterances for it.

    Attributes:
        exp_dir: its run.
        checkpoint: its weights.
        data: list of the utterances.
        lm_text: text with ids, Kaldi's, for a language model.
        count: utterances that are taken.
    """

    exp_dir: Path
    checkpoint: Path
    data: Path
    lm_text: Path
    count: int


def measure_ctc(trained: Trained | None, repeats: int) -> Iterator[Row]:
    """All rows; WeNet's checkout must be open."""
    torch.set_num_threads(1)
    for batch, goal in ((1, 8.0), (16, 30.0)):
        log_probs, lens = sharp_log_probs(batch), torch.full((batch,), FRAMES)
        yield against_wenet(
            f"prefix beam search, sharp random posteriors, batch {batch}", goal, log_probs, lens, repeats
        )
    yield hotwords_on_sharp_posteriors(repeats)
    if trained is not None:
        yield from measure_trained(trained, repeats)


def hotwords_on_sharp_posteriors(repeats: int) -> Row:
    """What a thousand phrases of one to four of 5002 units cost."""
    draw = random.Random(0)
    phrases = [tuple(draw.randrange(3, VOCAB_SIZE) for _ in range(draw.choice([1, 2, 3, 4]))) for _ in range(1000)]
    units = ["<blank>", "<unk>", "<sos/eos>", *(f"\u2581{i}" if i % 2 else str(i) for i in range(3, VOCAB_SIZE))]
    fusion = Fusion(units, [Hotword("", tokens) for tokens in phrases])
    search, log_probs, lens = CtcPrefixBeamSearch(BEAM_SIZE, 0), sharp_log_probs(16), torch.full((16,), FRAMES)
    times = alternate(
        {"none": lambda: search(log_probs, lens), "hotwords": lambda: search(log_probs, lens, fusion)}, repeats
    )
    ratio = times["hotwords"] / times["none"]
    subject = "prefix beam search, sharp random posteriors, with 1000 hotwords against without"
    return Row(subject, "1.2x", f"{ratio:.2f}x", ratio <= 1.2)


def sharp_log_probs(batch: int) -> Tensor:
    """(batch, FRAMES, VOCAB_SIZE)."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(batch, FRAMES, VOCAB_SIZE, generator=generator)
    peaks = torch.randint(VOCAB_SIZE, (batch, FRAMES, 1), generator=generator)
    return logits.scatter(2, peaks, 12.0).log_softmax(dim=-1)


def against_wenet(subject: str, goal: float, log_probs: Tensor, lens: Tensor, repeats: int) -> Row:
    """How many times as fast as WeNet's, after a check that both find the same."""
    from wenet.models.transformer.search import ctc_prefix_beam_search

    search = CtcPrefixBeamSearch(BEAM_SIZE, 0)
    ours: Callable[[], object] = functools.partial(search, log_probs, lens)
    theirs: Callable[[], object] = functools.partial(ctc_prefix_beam_search, log_probs, lens, BEAM_SIZE)
    for found, wanted in zip(search(log_probs, lens), ctc_prefix_beam_search(log_probs, lens, BEAM_SIZE)):
        assert [hyp.tokens for hyp in found] == list(map(tuple, wanted.nbest)), "the n-best differ"
        errors = (abs(hyp.score - score) for hyp, score in zip(found, wanted.nbest_scores))
        assert max(errors) < 1e-4, "the scores differ"
    times = alternate({"ours": ours, "WeNet": theirs}, repeats)
    ratio = times["WeNet"] / times["ours"]
    in_ms = (1e3 * times[side] / len(lens) for side in ("ours", "WeNet"))
    seen = "{:.1f}x ({:.1f} against {:.0f} ms an utterance)".format(ratio, *in_ms)
    return Row(f"{subject}, against WeNet's", f"{goal:.0f}x", seen, ratio >= goal)


@torch.no_grad()
def measure_trained(trained: Trained, repeats: int) -> Iterator[Row]:
    """On posteriors of a trained model: against WeNet's, what fusion costs, and greedy search beside the encoder."""
    config = read_experiment(trained.exp_dir / "train.yaml")
    loaded = load_model(ModelDescription(config.features, config.model), trained.checkpoint, trained.exp_dir)
    prepare_for_cpu(loaded.model)
    batches = [loaded.fbank(waveforms, num_samples) for waveforms, num_samples in read_batches(trained)]
    encoded = [loaded.model.encoder(features, lens) for features, lens in batches]
    posteriors = [(loaded.model.ctc_log_probs(out), lens) for out, lens in encoded]
    utterances = [(rows[i : i + 1, : lens[i]], lens[i : i + 1]) for rows, lens in posteriors for i in range(len(lens))]
    longest = max(utterances, key=lambda utterance: int(utterance[1]))
    yield against_wenet("prefix beam search, an utterance of a trained model", 20.0, *longest, repeats)
    yield from measure_fusion(loaded, trained, posteriors, repeats)

    greedy = CtcGreedySearch(loaded.model.blank_id)
    times = alternate(
        {
            "encoder": lambda: [loaded.model.encoder(*batch) for batch in batches],
            "greedy": lambda: [greedy(loaded.model.ctc_log_probs(out), lens) for out, lens in encoded],
        },
        min(repeats, 3),
    )
    ratio = 1 + times["greedy"] / times["encoder"]
    yield Row("greedy decoding against the encoder alone", "1.10x", f"{ratio:.3f}x", ratio <= 1.1)


def measure_fusion(
    loaded: LoadedModel, trained: Trained, posteriors: Sequence[tuple[Tensor, Tensor]], repeats: int
) -> Iterator[Row]:
    """What an n-gram and a thousand hotwords add to prefix beam search."""
    texts = [line.split(maxsplit=1)[1] for line in trained.lm_text.read_text().splitlines() if " " in line]
    words = sorted({word for text in texts for word in text.split()})
    draw = random.Random(0)
    phrases = {" ".join(draw.sample(words, draw.choice([1, 1, 2, 3]))) for _ in range(1000)}
    hotwords = spell_hotwords([(phrase, DEFAULT_SCORE) for phrase in sorted(phrases)], loaded.tokenizer)
    units = list(loaded.tokenizer.units)
    fusions = {
        "none": NO_FUSION,
        "3-gram": Fusion(units, word_lm=WordLm(estimate_lm(texts, EstimationOptions(order=3)))),
        "hotwords": Fusion(units, hotwords),
    }
    search = CtcPrefixBeamSearch(BEAM_SIZE, loaded.model.blank_id)

    def decode(fusion: Fusion) -> None:
        for log_probs, lens in posteriors:
            search(log_probs, lens, fusion)

    times = alternate({name: functools.partial(decode, fusion) for name, fusion in fusions.items()}, repeats)
    for name, goal, subject in (
        ("3-gram", 3.0, "prefix beam search with a word 3-gram"),
        ("hotwords", 1.2, f"prefix beam search with {len(hotwords)} hotwords"),
    ):
        ratio = times[name] / times["none"]
        subject += f", {len(units)} units, against without"
        yield Row(subject, f"{goal:.1f}x", f"{ratio:.2f}x", ratio <= goal)


def read_batches(trained: Trained) -> Iterator[tuple[Tensor, Tensor]]:
    """Waveforms and their samples, sorted by length."""
    manifest = read_manifest(trained.data)
    plan = reading_plan(manifest, 12000)
    dataset = SpeechDataset(manifest, lambda text: (), SAMPLE_RATE)
    taken = 0
    for batch in dataset.load(map(plan.micro_batch, range(plan.num_micro_batches)), num_workers=0):
        yield batch.waveforms, batch.num_samples
        taken += len(batch.keys)
        if taken >= trained.count:
            return
