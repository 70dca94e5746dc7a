"""Recognition of a whole list of utterances, by one process or several, that survives a kill."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from wenet_lite.data.batch_plan import MicroBatch
from wenet_lite.data.dataset import Batch, SpeechDataset
from wenet_lite.data.manifest import Manifest
from wenet_lite.data.reading_plan import FRAMES_PER_S, feature_frames, reading_plan
from wenet_lite.data.shard_stream import ShardReader
from wenet_lite.decoding.batch_recognizer import BatchRecognizer, Hypotheses
from wenet_lite.decoding.long_audio import LongAudioRecognizer
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.decoding.part_files import PartFolder, RecognizedUtterance
from wenet_lite.decoding.recognition_options import RecognitionOptions
from wenet_lite.decoding.recognized_words import RecognizedWord, recognized_words
from wenet_lite.decoding.results import empty
from wenet_lite.decoding.words import UntimedWord
from wenet_lite.distributed import World
from wenet_lite.errors import AudioError
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class RecognitionPlan:
    """The batches of a list, by length; they depend on the list and the options alone, not on ranks or restarts.

    Attributes:
        batches: short utterances, several a batch; their number is their position.
        long: positions in the manifest of utterances that are recognised in segments, each a batch of its own,
            numbered behind the others.
        frames: of each batch, padded.
    """

    batches: tuple[MicroBatch, ...]
    long: tuple[int, ...]
    frames: tuple[int, ...]

    @classmethod
    def of(cls, manifest: Manifest, options: RecognitionOptions) -> RecognitionPlan:
        """Plan `manifest`: every utterance, however short or long."""
        frames = feature_frames(manifest)
        long = np.flatnonzero(manifest.seconds > options.max_segment_seconds)
        plan = reading_plan(manifest, options.max_frames, long)
        batches = tuple(batch for batch in map(plan.micro_batch, range(plan.num_micro_batches)) if len(batch.indices))
        padded = [int(frames[batch.indices].max()) * len(batch.indices) for batch in batches]
        return cls(batches, tuple(long.tolist()), (*padded, *frames[long].tolist()))

    def share(self, done: set[int], world: World) -> list[int]:
        """Numbers of the batches that are left for this rank, ascending: ranks get about the same number of frames."""
        loads = [(0, rank) for rank in range(world.size)]
        mine = []
        for number in sorted(set(range(len(self.frames))) - done, key=lambda number: -self.frames[number]):
            load, rank = heapq.heappop(loads)
            heapq.heappush(loads, (load + self.frames[number], rank))
            if rank == world.rank:
                mine.append(number)
        return sorted(mine)


class ListRecognizer:
    """Recognises this rank's share of a list and writes it to its part file, batch by batch.

    Args:
        recognizer: of batches.
        tokenizer: of the model's units.
        manifest: the list.
    """

    def __init__(self, recognizer: BatchRecognizer, tokenizer: Tokenizer, manifest: Manifest) -> None:
        self._recognizer, self._tokenizer, self._manifest = recognizer, tokenizer, manifest
        self._options, self._units = recognizer.options, list(tokenizer.units)
        self.plan = RecognitionPlan.of(manifest, self._options)

    def __call__(self, parts: PartFolder, done: set[int], world: World, num_workers: int) -> None:
        """Recognise what is not `done`.

        Args:
            parts: receive the hypotheses.
            done: numbers of batches that are there, the same on every rank.
            world: this rank among others.
            num_workers: processes that read audio ahead.
        """
        with parts.writer(world.rank) as writer:
            self._recognizer.take_work()
            for number, utterances in self.recognized(done, world, num_workers):
                writer.add(number, utterances, self._recognizer.take_work())

    def recognized(
        self, done: set[int], world: World, num_workers: int
    ) -> Iterator[tuple[int, list[RecognizedUtterance]]]:
        """Recognise what is not `done`, as above; gives number and utterances of each batch."""
        numbers = self.plan.share(done, world)
        total = sum(self.plan.frames[number] for number in numbers)
        disable = None if world.is_main else True
        with tqdm(total=total // FRAMES_PER_S, unit="s of audio", disable=disable) as shown:
            for number, utterances in self._batches(numbers, num_workers):
                yield number, utterances
                shown.update(self.plan.frames[number] // FRAMES_PER_S)

    def _batches(self, numbers: Sequence[int], num_workers: int) -> Iterator[tuple[int, list[RecognizedUtterance]]]:
        """Number and utterances of each batch."""
        num_short = len(self.plan.batches)
        short = [number for number in numbers if number < num_short]
        dataset = SpeechDataset(self._manifest, lambda text: (), SAMPLE_RATE)
        batches = [self.plan.batches[number] for number in short]
        for number, batch in zip(short, dataset.load(batches, num_workers)):
            yield number, self._short(batch)
        indices = [self.plan.long[number - num_short] for number in numbers[len(short) :]]
        for number, utterance in zip(numbers[len(short) :], self._long(indices)):
            yield number, [utterance]

    def _short(self, batch: Batch) -> list[RecognizedUtterance]:
        failed = dict(batch.failed)
        utterances = []
        if batch.keys:
            seconds = [samples / SAMPLE_RATE for samples in batch.num_samples.tolist()]
            self._recognizer.work.audio_seconds += sum(seconds)
            batch = batch.to(self._recognizer.device)
            found = self._recognizer(batch.waveforms, batch.num_samples, self._options.modes)
            for key, duration_s, hyps in zip(batch.keys, seconds, found):
                if hyps is None:
                    failed[key] = "is too short to be heard"
                else:
                    utterances.append(self._utterance(key, duration_s, hyps))
        return utterances + [empty(key, reason, self._options) for key, reason in failed.items()]

    def _long(self, indices: Sequence[int]) -> Iterator[RecognizedUtterance]:
        recognizer = LongAudioRecognizer(self._recognizer)
        one = np.ones(len(indices))
        wanted = [MicroBatch(np.array(indices, dtype=np.int64), one, np.zeros(len(indices), dtype=np.int64))]
        reader = ShardReader(self._manifest, wanted) if self._manifest.streamed else None
        for index in indices:
            utterance = self._manifest[index]
            source = utterance.source if reader is None else reader.take(index)
            try:
                if isinstance(source, AudioError):
                    raise source
                hyps = recognizer(source, utterance.start, utterance.end)
                yield self._utterance(utterance.key, float(self._manifest.seconds[index]), hyps)
            except AudioError as error:
                yield empty(utterance.key, str(error), self._options)

    def _utterance(self, key: str, duration_s: float, hyps: Hypotheses) -> RecognizedUtterance:
        return RecognizedUtterance(
            key,
            {mode: [self._entry(hyp) for hyp in nbest] for mode, nbest in hyps.items()},
            duration_s=duration_s,
            words={mode: self._words(nbest, duration_s) for mode, nbest in hyps.items()} if self._options.words else {},
        )

    def _words(self, nbest: Sequence[Hypothesis], duration_s: float) -> list[RecognizedWord | UntimedWord]:
        return recognized_words(nbest, self._units, self._recognizer.frame_ms, duration_s, self._options.timing)

    def _entry(self, hyp: Hypothesis) -> dict[str, Any]:
        return {"text": self._tokenizer.decode(hyp.tokens), "score": round(hyp.score, 4), "times": hyp.times}
