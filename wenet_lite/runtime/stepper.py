"""Many streams through one model, a chunk of each at a time, in batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from wenet_lite.decoding.decoder import Decoder
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.model.cache import EncoderCache
from wenet_lite.runtime.backend import Backend, padded_waveforms
from wenet_lite.runtime.stream import Stream, Utterance
from wenet_lite.runtime.transcript import Transcriber
from wenet_lite.transfer import to_device

_MAX_STREAMS = 32
"""Streams a batch: more are no faster on a CPU, and take more memory."""


class StreamStepper:
    """Hears streams: one chunk of each that has one, together; one thread at a time.

    Args:
        backend: the model.
        decoder: with the options of the searches.
        transcriber: of the utterances that end.
    """

    def __init__(self, backend: Backend, decoder: Decoder, transcriber: Transcriber) -> None:
        self._backend, self._decoder, self._transcriber = backend, decoder, transcriber

    @torch.inference_mode()
    def step(self, streams: Iterable[Stream]) -> None:
        """Hear one chunk of each stream that is ready; utterances that end have their transcripts after it."""
        ready = [stream for stream in streams if stream.ready]
        ready.sort(key=lambda stream: (stream.config.chunk_size, stream.cache.attention.shape[3]))
        for first in range(0, len(ready), _MAX_STREAMS):
            batch = ready[first : first + _MAX_STREAMS]
            self._hear(batch)
            with self._backend.autocast():
                self._finish([(stream, utterance) for stream in batch for utterance in stream.utterances()])

    def _hear(self, streams: Sequence[Stream]) -> None:
        model = self._backend.model
        chunks = [stream.next_chunk() for stream in streams]
        features, lens = self._features(chunks)
        heard = [i for i, length in enumerate(lens.tolist()) if length > model.encoder.embed.right_context]
        if not heard:
            return
        if len(heard) < len(streams):
            streams, features, lens = [streams[i] for i in heard], features[heard], lens[heard]
        keep = [stream.cache_frames for stream in streams]
        caches = _batched([stream.cache for stream in streams])
        with self._backend.autocast():  # without the features, whose energies need float32
            encoder_out, out_lens, cache = model.encoder.forward_chunk(features, lens, caches, max(keep))
            log_probs = self._decoder.log_probs(encoder_out).float().cpu()
        for i, (stream, length) in enumerate(zip(streams, out_lens.tolist())):
            stream.hear(encoder_out[i, :length].clone(), log_probs[i, :length], _one_of(cache, i, keep[i]))

    def _features(self, chunks: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """(streams, frames, bins) and (streams,) valid frames, on the device."""
        waveforms, num_samples = padded_waveforms(chunks)
        device = self._backend.device
        features, lens = self._backend.fbank(to_device(waveforms, device), to_device(num_samples, device))
        return features, lens

    def _finish(self, ended: Sequence[tuple[Stream, Utterance]]) -> None:
        """Let the attention decoder choose, and align what it has chosen."""
        spoken = [(stream, utterance) for stream, utterance in ended if utterance.nbest[0].tokens]
        rescored = self._rescored([utterance for _, utterance in spoken]) if spoken else []
        of_spoken = {id(utterance): nbest for (_, utterance), nbest in zip(spoken, rescored)}
        for stream, utterance in ended:
            nbest = of_spoken.get(id(utterance), utterance.nbest)
            if nbest[0].tokens or stream.ended:
                stream.finish(self._transcriber(nbest, utterance.duration_s, utterance.start_s))

    def _rescored(self, utterances: Sequence[Utterance]) -> list[list[Hypothesis]]:
        encoder_out = torch.nn.utils.rnn.pad_sequence([each.encoder_out for each in utterances], batch_first=True)
        lens = torch.tensor([len(each.encoder_out) for each in utterances], device=encoder_out.device)
        nbests = self._decoder.rescoring(encoder_out, lens, [each.nbest for each in utterances])
        self._decoder.align(self._backend.model.ctc_log_probs(encoder_out), lens, nbests)
        return nbests


def _batched(caches: Sequence[EncoderCache]) -> EncoderCache:
    """The caches of single streams as that of a batch, whose room is that of the largest."""
    if len(caches) == 1:
        return caches[0]
    first, room = caches[0].attention, max(cache.attention.shape[3] for cache in caches)
    attention = first.new_zeros(first.shape[0], len(caches), first.shape[2], room, first.shape[4])
    for i, cache in enumerate(caches):
        attention[:, i : i + 1, :, room - cache.attention.shape[3] :] = cache.attention
    return EncoderCache(
        attention,
        torch.cat([cache.convolution for cache in caches], dim=1),
        torch.cat([cache.lens for cache in caches]),
        torch.cat([cache.offset for cache in caches]),
    )


def _one_of(cache: EncoderCache, index: int, frames: int) -> EncoderCache:
    """A stream's own part of a batch's cache, with room for `frames`; the batch's memory is not held."""
    room = cache.attention.shape[3]
    if cache.attention.shape[1] == 1 and room == frames:
        return cache
    return EncoderCache(
        cache.attention[:, index : index + 1, :, room - frames :].clone(),
        cache.convolution[:, index : index + 1].clone(),
        cache.lens[index : index + 1].clamp(max=frames),
        cache.offset[index : index + 1].clone(),
    )
