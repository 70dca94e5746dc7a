"""One stream: the audio that waits, what the model remembers of it, and the utterances found so far."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import soxr
import torch
from torch import Tensor

from wenet_lite.data.audio import as_float
from wenet_lite.decoding.acoustic_model import AcousticModel
from wenet_lite.decoding.ctc_prefix_beam import CtcPrefixBeam
from wenet_lite.decoding.decoder import Decoder
from wenet_lite.decoding.fusion import Fusion
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.decoding.silence import silent_frame
from wenet_lite.errors import InputError
from wenet_lite.features.fbank import FRAME_LENGTH, FRAME_SHIFT, SAMPLE_RATE
from wenet_lite.model.cache import EncoderCache
from wenet_lite.runtime.endpoint import Endpointing
from wenet_lite.runtime.transcript import Transcript
from wenet_lite.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class StreamConfig:
    """Attributes:
    sample_rate: Hz of the audio that comes in.
    chunk_size: encoder frames a chunk.
    num_left_chunks: chunks of history, -1 for all of the utterance.
    endpointing: where utterances end.
    fusion: hotwords and language model.
    """

    sample_rate: int
    chunk_size: int
    num_left_chunks: int
    endpointing: Endpointing
    fusion: Fusion


@dataclass(frozen=True)
class Utterance:
    """What was heard between two endpoints, before the attention decoder has read it.

    Attributes:
        encoder_out: (frames, dim).
        nbest: of the CTC search, best first.
        start_s: seconds from the beginning of the stream.
        duration_s: seconds of audio.
    """

    encoder_out: Tensor
    nbest: list[Hypothesis]
    start_s: float
    duration_s: float


class Stream:
    """Takes audio in any portions and rates; `StreamStepper` hears it, chunk by chunk, with other streams.

    Args:
        model: that hears it.
        decoder: with the options of the searches.
        tokenizer: of the model's units.
        config: chunks, endpoints, hotwords.
        like: a tensor of the model's device and floating type.
    Attributes:
        cache: what the encoder remembers.
    """

    def __init__(
        self, model: AcousticModel, decoder: Decoder, tokenizer: Tokenizer, config: StreamConfig, like: Tensor
    ) -> None:
        self.config = config
        self._model, self._decoder, self._tokenizer, self._like = model, decoder, tokenizer, like
        self._resampler = None
        if config.sample_rate != SAMPLE_RATE:
            self._resampler = soxr.ResampleStream(config.sample_rate, SAMPLE_RATE, 1, dtype="float32")
        self._frame_samples = model.encoder.embed.rate * FRAME_SHIFT
        self._shortest = model.encoder.embed.right_context * FRAME_SHIFT + FRAME_LENGTH
        self._stride = config.chunk_size * self._frame_samples
        self._window = self._shortest + self._stride - self._frame_samples
        self._portions: deque[np.ndarray] = deque()
        self._waiting = 0  # samples in them
        self._position = 0  # of the first sample that waits
        self._has_end = self._is_through = False
        self._finished: list[Transcript] = []
        self._begin(0, model.encoder.empty_cache(1, 0, like))

    @property
    def ready(self) -> bool:
        """Whether a chunk waits to be heard, or the end."""
        return self._waiting >= self._window or (self._has_end and not self._is_through)

    @property
    def ended(self) -> bool:
        """Whether the stream has come to its end and all of it was heard."""
        return self._is_through

    @property
    def partial(self) -> str:
        """Best text so far of the utterance that is spoken."""
        return self._tokenizer.decode(self._best.tokens)

    @property
    def heard_s(self) -> float:
        """Seconds of audio that were heard."""
        return self._position / SAMPLE_RATE

    @property
    def cache_frames(self) -> int:
        """Encoder frames that the next chunk's successor may look at; no room is taken for more than were heard."""
        heard = min(self.cache.attention.shape[3] + self.config.chunk_size, self._most_frames)
        left_chunks = self.config.num_left_chunks
        return heard if left_chunks < 0 else min(heard, left_chunks * self.config.chunk_size)

    def accept(self, samples: np.ndarray) -> None:
        """Take the next (n,) samples: floats in [-1, 1] or integers, which are scaled by their type.

        Raises:
            InputError: for samples that are not finite, not one channel, or come after the end.
        """
        if self._has_end:
            raise InputError("the stream has ended", cure="begin another one")
        self._take(as_float(samples), last=False)

    def end(self) -> None:
        """No more audio comes."""
        if not self._has_end:
            self._take(np.zeros(0, dtype=np.float32), last=True)
            self._has_end = True

    def take(self) -> list[Transcript]:
        """Transcripts of the utterances that have ended and were not taken yet."""
        finished, self._finished = self._finished, []
        return finished

    def next_chunk(self) -> np.ndarray:
        """(samples,) of the chunk that waits; fewer at the end, too few for the encoder where nothing is left."""
        held = np.zeros(0, dtype=np.float32)
        while self._portions and len(held) < self._window:
            portion = self._portions.popleft()
            held = np.concatenate([held, portion]) if len(held) else portion  # a long one is not copied at each chunk
        used = min(self._stride, len(held))
        self._is_through = self._has_end and self._waiting - used < self._shortest
        if self._is_through:
            used = self._waiting
            self._portions.clear()
        elif used < len(held):
            self._portions.appendleft(held[used:])
        self._waiting -= used
        self._position += used
        return held[: self._window]

    def hear(self, encoder_out: Tensor, log_probs: Tensor, cache: EncoderCache) -> None:
        """Take what the model makes of the chunk.

        Args:
            encoder_out: (frames, dim).
            log_probs: (frames, vocab) log posteriors.
            cache: of this stream alone.
        """
        self.cache = cache
        self._encoder_out.append(encoder_out)
        self._num_frames += len(encoder_out)
        self._beam.advance(log_probs)
        self._best = self._beam.best()

    def utterances(self) -> list[Utterance]:
        """What has ended with the chunk that was heard last: nothing in most cases."""
        found = []
        while self._num_frames > self._most_frames:
            found.append(self._cut())
        if self._is_through:
            found.append(self._utterance(self._position))
            self._begin(self._position, self.cache)
        elif self.config.endpointing.silence_ends(self._silence_s, has_words=bool(self._best.tokens)):
            found.append(self._utterance(self._position))
            self._begin(self._position, self._silence())
        return found

    def finish(self, transcript: Transcript) -> None:
        """Keep the transcript of an utterance until it is taken."""
        self._finished.append(transcript)

    def _take(self, samples: np.ndarray, *, last: bool) -> None:
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last=last)
        self._portions.append(samples.copy())  # the caller may fill his buffer anew
        self._waiting += len(samples)

    @property
    def _most_frames(self) -> int:
        return int(self.config.endpointing.rule3_utterance_s * SAMPLE_RATE) // self._frame_samples

    def _begin(self, start: int, cache: EncoderCache) -> None:
        """An utterance begins at a sample, with what the encoder remembers of what was before it."""
        self._start, self.cache = start, cache
        self._encoder_out: list[Tensor] = []
        self._num_frames = 0
        self._beam = self._new_beam()
        self._best = self._beam.best()

    def _new_beam(self) -> CtcPrefixBeam:
        return CtcPrefixBeam(self._decoder.prefix_beam.beam_size, self._model.blank_id, self.config.fusion)

    @property
    def _silent_frames(self) -> int:
        """Encoder frames since the last token, or since the utterance began."""
        return self._num_frames - (self._best.times[-1] + 1 if self._best.times else 0)

    @property
    def _silence_s(self) -> float:
        return self._silent_frames * self._frame_samples / SAMPLE_RATE

    def _silence(self) -> EncoderCache:
        """What the encoder remembers of the silence that ends an utterance, as if the next one had begun with it.

        A model that has to begin in the middle of silence, without a past, hears words in it. Positions count from the
        beginning of that silence: those of long streams never become larger than those of training.
        """
        room = self.cache.attention.shape[3]
        frames = min(self._silent_frames, room)
        lens = self.cache.lens.clamp(max=frames)
        attention = self.cache.attention[:, :, :, room - frames :].clone()
        return EncoderCache(attention, self.cache.convolution, lens, lens.clone())

    def _utterance(self, end: int) -> Utterance:
        """All frames that were heard, up to a sample."""
        encoder_out = torch.cat(self._encoder_out) if self._encoder_out else self._like.new_zeros(0, 1)
        start_s, end_s = self._start / SAMPLE_RATE, end / SAMPLE_RATE
        return Utterance(encoder_out, self._beam.hypotheses(), start_s, end_s - start_s)

    def _cut(self) -> Utterance:
        """End a long utterance in a silence; the frames after that are the beginning of the next one."""
        encoder_out = torch.cat(self._encoder_out)
        log_probs = self._decoder.log_probs(encoder_out.unsqueeze(0))[0].float().cpu()
        end = silent_frame(log_probs[: self._most_frames], self._model.blank_id)
        before, after = self._new_beam(), self._new_beam()
        before.advance(log_probs[:end])
        after.advance(log_probs[end:])
        duration = end * self._frame_samples
        start, self._start = self._start, self._start + duration
        self._encoder_out, self._num_frames = [encoder_out[end:].clone()], len(encoder_out) - end
        self._beam, self._best = after, after.best()
        return Utterance(encoder_out[:end], before.hypotheses(), start / SAMPLE_RATE, duration / SAMPLE_RATE)
