"""The recogniser object: files to text, and live streams to text."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wenet_lite.data.audio import read_audio, resample
from wenet_lite.decoding.attention_rescoring import AttentionRescoring
from wenet_lite.decoding.ctc_prefix_beam import CtcPrefixBeam
from wenet_lite.decoding.decoder import Decoder
from wenet_lite.decoding.fusion import NO_FUSION, Fusion, WordLm
from wenet_lite.decoding.fusion_tuning import FusionWeights
from wenet_lite.decoding.hotword_list import spell_hotwords
from wenet_lite.decoding.ngram_arpa import read_arpa
from wenet_lite.decoding.options import DecodingMode, DecodingOptions
from wenet_lite.errors import ConfigError
from wenet_lite.features.fbank import FRAME_SHIFT, SAMPLE_RATE
from wenet_lite.features.stream import StreamingFrontEnd
from wenet_lite.model.context import context_warnings
from wenet_lite.runtime.cpu import prepare_for_cpu
from wenet_lite.runtime.model_dir import LoadedModel, load_model_dir

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamOptions:
    """Attributes:
    chunk_size: encoder frames a chunk; None for the one that the model was trained with, or else 16, which are 640 ms
        at fourfold subsampling.
    num_left_chunks: chunks of history, -1 for all of the past.
    """

    chunk_size: int | None = None
    num_left_chunks: int = -1

    def __post_init__(self) -> None:
        if self.chunk_size is not None and self.chunk_size < 1:
            raise ValueError("chunk_size must be at least 1")
        if self.num_left_chunks < -1:
            raise ValueError("num_left_chunks must be at least -1")


@dataclass(frozen=True)
class Transcript:
    """Attributes:
    text: the recognised words.
    score: of the best hypothesis, natural log.
    duration: seconds of audio heard.
    """

    text: str
    score: float
    duration: float


class Recognizer:
    """Speech recognition from a model directory.

    Args:
        model_dir: what `export` wrote.
        options: of the searches.
        lm: fuse the directory's language model into them, with the weights that were tuned for it.
    Raises:
        CheckpointError: if a file of the directory was changed.
        DataError: if the language model is wanted and cannot be read.
    """

    def __init__(
        self, model_dir: str | os.PathLike[str], options: DecodingOptions | None = None, *, lm: bool = False
    ) -> None:
        self.loaded = load_model_dir(model_dir)
        prepare_for_cpu(self.loaded.model)
        self.options = options or DecodingOptions()
        self.word_lm: WordLm | None = None
        if lm:
            folder = Path(model_dir) / "lm"
            weights = FusionWeights.read(folder / "weights.json")
            self.word_lm = WordLm(read_arpa(folder / "lm.arpa.gz"), weights.lm_weight, weights.word_bonus)

    @property
    def frame_ms(self) -> int:
        """Milliseconds from one encoder frame to the next."""
        return self.loaded.model.encoder.embed.rate * 1000 * FRAME_SHIFT // SAMPLE_RATE

    @property
    def chunk_ms(self) -> int:
        """Milliseconds of a stream's chunk unless another length is asked for."""
        return (self.loaded.model.config.encoder.streaming_chunk_size or 1) * self.frame_ms

    @torch.no_grad()
    def transcribe(
        self,
        audio: str | os.PathLike[str] | np.ndarray,
        mode: DecodingMode = "attention_rescoring",
        hotwords: Sequence[str] = (),
    ) -> Transcript:
        """Recognise a whole recording; one too short for the encoder is empty.

        Args:
            audio: a file, or (samples,) float32 in [-1, 1] at 16 kHz.
            mode: the search.
            hotwords: phrases to listen for; what the model's units cannot spell is named in the log and left out.
        Raises:
            AudioError: if the file cannot be read.
        """
        if isinstance(audio, np.ndarray):
            samples = audio
        else:
            samples, rate = read_audio(audio)
            samples = resample(samples, rate, SAMPLE_RATE)
        waveform = torch.from_numpy(samples).unsqueeze(0)
        features, lens = self.loaded.fbank(waveform, torch.tensor([len(samples)]))
        if int(lens[0]) <= self.loaded.model.encoder.embed.right_context:
            return Transcript("", 0.0, len(samples) / SAMPLE_RATE)
        encoder_out, encoder_lens = self.loaded.model.encoder(features, lens)
        decoder = Decoder(self.loaded.model, self.options, self._fusion(hotwords))
        best = decoder(encoder_out, encoder_lens, [mode])[mode][0][0]
        return Transcript(self.loaded.tokenizer.decode(best.tokens), best.score, len(samples) / SAMPLE_RATE)

    def stream(
        self,
        sample_rate: int = SAMPLE_RATE,
        stream_options: StreamOptions | None = None,
        hotwords: Sequence[str] = (),
    ) -> StreamingSession:
        """Start listening to a stream of `sample_rate` Hz, and in it for `hotwords`, as in `transcribe`.

        Raises:
            ConfigError: if the model was not trained to stream.
        """
        if not self.loaded.model.config.encoder.streams:
            raise ConfigError("this model was trained on whole utterances and cannot stream")
        wanted, encoder = stream_options or StreamOptions(), self.loaded.model.config.encoder
        chunk_size = wanted.chunk_size or encoder.streaming_chunk_size
        for warning in context_warnings(encoder, chunk_size, wanted.num_left_chunks):
            _LOG.warning("the stream has %s", warning)
        return StreamingSession(self.loaded, self.options, wanted, sample_rate, self._fusion(hotwords))

    def _fusion(self, hotwords: Sequence[str]) -> Fusion:
        tokenizer = self.loaded.tokenizer
        spelled = spell_hotwords([(text, self.options.hotword_score) for text in hotwords], tokenizer)
        return Fusion(list(tokenizer.units), spelled, self.word_lm) if spelled or self.word_lm else NO_FUSION


class StreamingSession:
    """One stream: audio in, in any portions; a partial text at any time; the final text at the end.

    Args:
        loaded: the model.
        options: of the searches.
        stream_options: chunk and history.
        sample_rate: Hz of the audio that comes in.
        fusion: hotwords and language model.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        options: DecodingOptions,
        stream_options: StreamOptions,
        sample_rate: int,
        fusion: Fusion = NO_FUSION,
    ) -> None:
        self._loaded, self._left_chunks = loaded, stream_options.num_left_chunks
        self._chunk_size = stream_options.chunk_size or loaded.model.config.encoder.streaming_chunk_size
        self._sample_rate, self._num_samples = sample_rate, 0
        self._front_end = StreamingFrontEnd(loaded.fbank, sample_rate)
        self._features: Tensor = torch.zeros(0, loaded.fbank.filters.shape[1])
        self._cache = loaded.model.encoder.empty_cache(1, 0, self._features)
        self._beam = CtcPrefixBeam(options.beam_size, loaded.model.blank_id, fusion)
        self._rescoring = AttentionRescoring(loaded.model, options.ctc_weight, options.reverse_weight)
        self._encoder_out: list[Tensor] = []

    @property
    def partial(self) -> str:
        """Best text so far."""
        return self._loaded.tokenizer.decode(self._beam.hypotheses()[0].tokens)

    def accept(self, samples: np.ndarray) -> None:
        """Take the next (n,) samples, float32 in [-1, 1]."""
        self._num_samples += len(samples)
        self._listen(self._front_end.accept(samples))

    @torch.no_grad()
    def finish(self) -> Transcript:
        """End the stream: what is left of the audio is heard, and the attention decoder has the last word."""
        self._listen(self._front_end.accept(np.zeros(0, dtype=np.float32), last=True))
        if len(self._features) > self._loaded.model.encoder.embed.right_context:
            self._encode(self._features)
        nbest = self._beam.hypotheses()
        if self._encoder_out:
            encoder_out = torch.cat(self._encoder_out, dim=1)
            nbest = self._rescoring(encoder_out, torch.tensor([encoder_out.shape[1]]), [nbest])[0]
        text = self._loaded.tokenizer.decode(nbest[0].tokens)
        return Transcript(text, nbest[0].score, self._num_samples / self._sample_rate)

    @torch.no_grad()
    def _listen(self, features: Tensor) -> None:
        self._features = torch.cat([self._features, features])
        front_end = self._loaded.model.encoder.embed
        stride = self._chunk_size * front_end.rate
        window = stride - front_end.rate + front_end.right_context + 1
        while len(self._features) >= window:
            self._encode(self._features[:window])
            self._features = self._features[stride:]

    def _encode(self, features: Tensor) -> None:
        """One chunk through the encoder and into the beam."""
        model, left = self._loaded.model, self._left_chunks
        keep = left * self._chunk_size if left >= 0 else self._cache.attention.shape[3] + self._chunk_size
        lens = torch.tensor([len(features)])
        encoder_out, _, self._cache = model.encoder.forward_chunk(features.unsqueeze(0), lens, self._cache, keep)
        self._encoder_out.append(encoder_out)
        self._beam.advance(model.ctc_log_probs(encoder_out)[0])
