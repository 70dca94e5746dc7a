"""The front end of a stream: samples in, in any portions; feature frames out."""

from __future__ import annotations

import numpy as np
import soxr
import torch
from torch import Tensor

from wenet_lite.features.fbank import FRAME_LENGTH, FRAME_SHIFT, SAMPLE_RATE, Fbank, num_frames


class StreamingFrontEnd:
    """Resamples and computes filterbanks of one stream, with the same frames as the whole recording has.

    Args:
        fbank: in eval mode, so without dither.
        sample_rate: Hz of the samples that come in.
    """

    def __init__(self, fbank: Fbank, sample_rate: int = SAMPLE_RATE) -> None:
        self._fbank = fbank
        self._pending = np.zeros(0, dtype=np.float32)
        self._resampler = None
        if sample_rate != SAMPLE_RATE:
            self._resampler = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32")

    def accept(self, samples: np.ndarray, *, last: bool = False) -> Tensor:
        """Take the next samples.

        Args:
            samples: (n,) float32 in [-1, 1]; n may be 0.
            last: the stream ends here; the resampler gives what it holds back.
        Returns:
            (frames, bins) features that are complete now, on the device of `fbank`.
        """
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples.astype(np.float32), last=last)
        self._pending = np.concatenate([self._pending, samples.astype(np.float32, copy=False)])
        frames = num_frames(len(self._pending))
        used = self._pending[: (frames - 1) * FRAME_SHIFT + FRAME_LENGTH] if frames else self._pending[:0]
        waveform = torch.from_numpy(used.copy()).unsqueeze(0).to(self._fbank.window.device)
        features, _ = self._fbank(waveform, torch.tensor([waveform.shape[1]], device=waveform.device))
        self._pending = self._pending[frames * FRAME_SHIFT :]
        return features[0]
