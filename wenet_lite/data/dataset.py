"""From the plan to padded batches of waveforms and tokens, loaded by worker processes in order."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from wenet_lite.data.audio import change_speed, read_audio, resample
from wenet_lite.data.audio_source import AudioSource
from wenet_lite.data.augmentation import Augmenter
from wenet_lite.data.batch_plan import MicroBatch
from wenet_lite.data.manifest import Manifest
from wenet_lite.data.shard_stream import ShardReader, read_ahead
from wenet_lite.data.utterance import Utterance
from wenet_lite.errors import AudioError
from wenet_lite.transfer import to_device

TOKEN_PAD = -1
_PREFETCH = 4
_LENGTH_TOLERANCE = 0.01
_LENGTH_TOLERANCE_S = 0.1


@dataclass(frozen=True)
class Batch:
    """A padded micro-batch.

    Attributes:
        keys: ids of its utterances.
        waveforms: (batch, samples) float32 in [-1, 1], zero-padded.
        num_samples: (batch,) valid samples.
        tokens: (batch, length) unit ids, padded by TOKEN_PAD.
        token_lens: (batch,) valid tokens.
        occurrences: how often each was taken before; to an utterance's occurrence belong its random draws.
        failed: id and reason of each utterance that could not be read.
    """

    keys: list[str]
    waveforms: Tensor
    num_samples: Tensor
    tokens: Tensor
    token_lens: Tensor
    occurrences: list[int]
    failed: dict[str, str]

    def to(self, device: torch.device) -> Batch:
        """Copy the tensors to a device, without waiting for it."""
        return self._with_tensors(lambda tensor: to_device(tensor, device))

    def pin_memory(self) -> Batch:
        """Copy the tensors to page-locked memory, from where a GPU fetches them while the host goes on."""
        return self._with_tensors(Tensor.pin_memory)

    def _with_tensors(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            waveforms=change(self.waveforms),
            num_samples=change(self.num_samples),
            tokens=change(self.tokens),
            token_lens=change(self.token_lens),
        )


def silent_batch() -> Batch:
    """A second of silence, for a rank that has nothing to hear while others have."""
    one = torch.ones(1, 1, dtype=torch.long)
    return Batch(["silence"], torch.zeros(1, 16000), 16000 * one[0], one, one[0], [0], {})


@dataclass(frozen=True)
class LoadRequest:
    """An utterance of a micro-batch that is to be loaded.

    Attributes:
        utterance: line of the manifest.
        source: where its audio is, or why there is none.
        speed: factor of speed perturbation.
        occurrence: how often it was taken before.
    """

    utterance: Utterance
    source: AudioSource | AudioError
    speed: float
    occurrence: int


class SpeechDataset:
    """Utterances, and how they become batches.

    Requests travel to the workers, the manifest does not: a worker holds nothing that grows.

    Args:
        manifest: the utterances.
        encode: unit ids of a transcript.
        sample_rate: Hz of the waveforms that come out.
        augmenter: what is done to waveforms in training.
    """

    def __init__(
        self,
        manifest: Manifest,
        encode: Callable[[str], Sequence[int]],
        sample_rate: int,
        augmenter: Augmenter | None = None,
    ) -> None:
        self.manifest = manifest
        self.encode = encode
        self.sample_rate = sample_rate
        self.augmenter = augmenter

    def load(
        self, micro_batches: Iterable[MicroBatch], num_workers: int, *, pin_memory: bool = False
    ) -> Iterable[Batch]:
        """Batches of `micro_batches`, in their order, read ahead by `num_workers` processes (0: by this one)."""
        loader = _BatchLoader(self.encode, self.sample_rate, self.augmenter)
        return DataLoader(
            loader,
            sampler=self._requests(micro_batches),
            batch_size=None,
            num_workers=num_workers,
            prefetch_factor=_PREFETCH if num_workers else None,
            pin_memory=pin_memory,
            worker_init_fn=_leave_signals_to_the_parent,
        )

    def _requests(self, micro_batches: Iterable[MicroBatch]) -> Iterator[list[LoadRequest]]:
        if not self.manifest.streamed:
            return (self._request(batch, None) for batch in micro_batches)
        batches = list(micro_batches)
        reader = ShardReader(self.manifest, batches)
        return read_ahead((self._request(batch, reader) for batch in batches), 2 * _PREFETCH)

    def _request(self, batch: MicroBatch, reader: ShardReader | None) -> list[LoadRequest]:
        requests = []
        columns = (batch.indices.tolist(), batch.speeds.tolist(), batch.occurrences.tolist())
        for index, speed, occurrence in zip(*columns):
            utterance = self.manifest[index]
            source = utterance.source if reader is None else reader.take(index)
            requests.append(LoadRequest(utterance, source, speed, occurrence))
        return requests


def _leave_signals_to_the_parent(worker: int) -> None:
    """A signal to all processes asks the parent to finish in order, for which it needs its workers."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


class _BatchLoader(Dataset[Batch]):
    """What a worker does: a list of requests in, a batch out."""

    def __init__(self, encode: Callable[[str], Sequence[int]], sample_rate: int, augmenter: Augmenter | None) -> None:
        self.encode, self.sample_rate, self.augmenter = encode, sample_rate, augmenter

    def __getitem__(self, requests: list[LoadRequest]) -> Batch:
        """Read, change speed, augment and pad; what cannot be read is left out and named."""
        keys: list[str] = []
        occurrences: list[int] = []
        waveforms: list[np.ndarray] = []
        tokens: list[Sequence[int]] = []
        failed: dict[str, str] = {}
        for request in requests:
            key = request.utterance.key
            try:
                waveforms.append(self._waveform(request))
            except AudioError as error:
                failed[key] = str(error)
                continue
            keys.append(key)
            occurrences.append(request.occurrence)
            tokens.append(self.encode(request.utterance.txt))
        padded_waveforms, padded_tokens = _pad(waveforms, 0.0, torch.float32), _pad(tokens, TOKEN_PAD, torch.long)
        return Batch(keys, *padded_waveforms, *padded_tokens, occurrences, failed)

    def _waveform(self, request: LoadRequest) -> np.ndarray:
        utterance = request.utterance
        if isinstance(request.source, AudioError):
            raise request.source
        samples, rate = read_audio(request.source, utterance.start, utterance.end)
        _check_length(len(samples) / rate, utterance, request.source)
        samples = change_speed(resample(samples, rate, self.sample_rate), self.sample_rate, request.speed)
        return samples if self.augmenter is None else self.augmenter(samples, utterance.key, request.occurrence)


def _check_length(seconds: float, utterance: Utterance, source: AudioSource) -> None:
    """Batches are planned by the list's lengths: audio of another length would break their budget."""
    if abs(seconds - utterance.duration) > max(_LENGTH_TOLERANCE_S, _LENGTH_TOLERANCE * utterance.duration):
        raise AudioError(f"lasts {seconds:.2f} s, its list says {utterance.duration:.2f} s", path=str(source))


def _pad(rows: Sequence[np.ndarray | Sequence[int]], value: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    lens = torch.tensor([len(row) for row in rows], dtype=torch.long)
    padded = torch.full((len(rows), int(lens.max()) if len(rows) else 0), value, dtype=dtype)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = torch.as_tensor(row, dtype=dtype)
    return padded, lens
