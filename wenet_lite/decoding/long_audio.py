"""Recognition of recordings of any length, in memory that does not grow with it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from wenet_lite.data.audio_blocks import read_blocks
from wenet_lite.data.audio_source import AudioSource
from wenet_lite.data.segments import PauseCutter, Segment
from wenet_lite.decoding.batch_recognizer import BatchRecognizer, Hypotheses
from wenet_lite.decoding.chunked_encoder import ChunkedEncoder
from wenet_lite.decoding.options import DecodingMode, Hypothesis
from wenet_lite.decoding.silence import silent_frame
from wenet_lite.decoding.stitching import give_times, stitch
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.features.stream import StreamingFrontEnd
from wenet_lite.heap import trim_heap
from wenet_lite.transfer import to_device

_ALIGNED: DecodingMode = "ctc_greedy_search"
_OVERLAP_S = 4.0


@dataclass(frozen=True)
class _Heard:
    """A recognised segment.

    Attributes:
        hyps: its hypotheses; times and spans count from the segment's start.
        start: its first encoder frame.
        shared, length: encoder frames that the segment before has heard too, and all of its own.
    """

    hyps: Hypotheses
    start: int
    shared: int
    length: int


class LongAudioRecognizer:
    """Recognises a recording segment by segment and joins the best hypotheses.

    A model that streams in chunks with a limited history hears the recording as one stream; the searches are cut
    between two words, where CTC is silent, so that nothing is heard twice. Any other hears segments of the audio, which
    are cut in pauses, or else overlap and are stitched by the times of their tokens.

    Args:
        recognizer: of the segments.
    """

    def __init__(self, recognizer: BatchRecognizer) -> None:
        self._recognizer = recognizer
        options, unit = recognizer.options, recognizer.frame_samples
        self._streams = options.chunk_size > 0 and options.num_left_chunks >= 0
        self._max_samples = int(options.max_segment_seconds * SAMPLE_RATE) // unit * unit
        self._modes = tuple(dict.fromkeys((*options.modes, _ALIGNED)))

    def __call__(self, source: AudioSource, start_s: float | None, end_s: float | None) -> Hypotheses:
        """Recognise a file, or a span of it.

        Args:
            source: the recording.
            start_s, end_s: the span, in seconds.
        Returns:
            for each mode one hypothesis; `score` is the sum of the segments', frames count from the span's start.
        Raises:
            AudioError: if the audio cannot be read to its end.
        """
        return self.recognize(read_blocks(source, start_s, end_s, sample_rate=SAMPLE_RATE))

    def recognize(self, audio: Iterable[np.ndarray]) -> Hypotheses:
        """As a call, of a recording that comes in blocks: (samples,) float32 in [-1, 1], 16 kHz."""
        blocks = self._counted(audio)
        joined = {mode: Hypothesis((), 0.0) for mode in self._recognizer.options.modes}
        has_times = dict.fromkeys(joined, True)
        for heard in self._stream(blocks) if self._streams else self._segments(blocks):
            reference = heard.hyps[_ALIGNED][0]
            for mode, before in joined.items():
                hyp = heard.hyps[mode][0]
                if len(hyp.times) < len(hyp.tokens):
                    hyp, has_times[mode] = give_times(hyp, reference, 0, heard.length), False
                joined[mode] = stitch(before, _later(hyp, heard.start), heard.start, heard.start + heard.shared)
            trim_heap()
        return {mode: [hyp if has_times[mode] else replace(hyp, times=())] for mode, hyp in joined.items()}

    def _counted(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for block in blocks:
            self._recognizer.work.audio_seconds += len(block) / SAMPLE_RATE
            yield block

    def _segments(self, blocks: Iterable[np.ndarray]) -> Iterator[_Heard]:
        """Segments of the audio, several in a batch."""
        recognizer, unit = self._recognizer, self._recognizer.frame_samples
        segments = PauseCutter(self._max_samples, int(_OVERLAP_S * SAMPLE_RATE), unit)(blocks)
        frames = self._max_samples * 100 // SAMPLE_RATE
        while batch := list(itertools.islice(segments, max(recognizer.options.max_frames // frames, 1))):
            waveforms = torch.zeros(len(batch), self._max_samples)  # of one shape: others would each add to the memory
            for row, segment in zip(waveforms, batch):
                row[: len(segment.samples)] = torch.from_numpy(segment.samples)
            num_samples = torch.tensor([len(segment.samples) for segment in batch])
            device = recognizer.device
            found = recognizer(to_device(waveforms, device), to_device(num_samples, device), self._modes)
            for segment, hyps in zip(batch, found):
                if hyps is not None:
                    yield _heard(segment, hyps, unit)

    @torch.inference_mode()
    def _stream(self, blocks: Iterable[np.ndarray]) -> Iterator[_Heard]:
        """Portions of the encoder's output."""
        recognizer = self._recognizer
        most, start = self._max_samples // recognizer.frame_samples, 0
        held = torch.zeros(1, 0, recognizer.model.encoder.dim, device=recognizer.device)
        for encoder_out in self._encoder_outputs(blocks):
            held = torch.cat([held, encoder_out], dim=1)
            while held.shape[1] > most:
                end = self._silence(held[:, :most])
                yield self._search(held[:, :end], start)
                held, start = held[:, end:], start + end
        if held.shape[1]:
            yield self._search(held, start)

    def _search(self, encoder_out: Tensor, start: int) -> _Heard:
        length = encoder_out.shape[1]
        lens = torch.tensor([length], device=encoder_out.device)
        return _Heard(self._recognizer.search(encoder_out, lens, self._modes)[0], start, 0, length)

    def _silence(self, encoder_out: Tensor) -> int:
        with self._recognizer.autocast():
            log_probs = self._recognizer.model.ctc_log_probs(encoder_out)[0]
        return silent_frame(log_probs, self._recognizer.model.blank_id)

    def _encoder_outputs(self, blocks: Iterable[np.ndarray]) -> Iterator[Tensor]:
        """(1, frames, dim) of each chunk."""
        recognizer, options = self._recognizer, self._recognizer.options
        front_end = StreamingFrontEnd(recognizer.fbank)
        pending = torch.zeros(0, recognizer.model.encoder.input_dim, device=recognizer.device)
        chunks = ChunkedEncoder(recognizer.model.encoder, options.chunk_size, options.num_left_chunks, pending[None])
        right_context = recognizer.model.encoder.embed.right_context
        for block in itertools.chain(blocks, [None]):
            started = time.perf_counter()
            samples = np.zeros(0, dtype=np.float32) if block is None else block
            pending = torch.cat([pending, front_end.accept(samples, last=block is None)])
            outs = []
            while len(pending) >= chunks.window or (block is None and len(pending) > right_context):
                window = pending[: chunks.window].unsqueeze(0)
                with recognizer.autocast():
                    outs.append(chunks.advance(window, torch.tensor([window.shape[1]], device=window.device))[0])
                pending = pending[chunks.stride :]
            recognizer.count_encoder(started)
            yield from outs


def _heard(segment: Segment, hyps: Hypotheses, unit: int) -> _Heard:
    return _Heard(hyps, segment.start // unit, segment.shared // unit, len(segment.samples) // unit)


def _later(hyp: Hypothesis, frames: int) -> Hypothesis:
    """A segment's hypothesis in the recording, where it begins after `frames`."""
    return replace(
        hyp,
        times=tuple(frames + frame for frame in hyp.times),
        spans=tuple(span and span.later(frames) for span in hyp.spans),
    )
