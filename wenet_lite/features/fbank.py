"""Kaldi's log-mel filterbank over a batch of padded waveforms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SAMPLE_RATE = 16000
FRAME_LENGTH = 400
"""Samples a frame: 25 ms at 16 kHz."""
FRAME_SHIFT = 160
"""Samples from one frame to the next: 10 ms at 16 kHz."""
_FFT_LENGTH = 512
_PREEMPHASIS = 0.97
_LOW_FREQUENCY = 20.0
_HIGH_FREQUENCY = 8000.0
_INT16_SCALE = 32768.0
_LOG_FLOOR = 1.1920928955078125e-07
"""Energies below float32's epsilon are raised to it before the logarithm, as in Kaldi."""
_FRAMES_PER_BLOCK = 256


@dataclass(frozen=True)
class FbankConfig:
    """Attributes:
    num_mel_bins: triangular filters between 20 Hz and 8 kHz.
    dither: standard deviation of the Gaussian noise added to int16-scaled samples in training; 0 adds none. Kaldi
        draws it anew for each frame, here frames that overlap share it.
    """

    num_mel_bins: int = 80
    dither: float = 0.0

    def __post_init__(self) -> None:
        if self.num_mel_bins < 1 or self.dither < 0:
            raise ValueError("num_mel_bins must be at least 1, and dither not be negative")


def num_frames(num_samples: int) -> int:
    """Frames that `num_samples` samples at 16 kHz give: 1 + (n - 400) // 160 (Kaldi's snip_edges)."""
    return 0 if num_samples < FRAME_LENGTH else 1 + (num_samples - FRAME_LENGTH) // FRAME_SHIFT


class Fbank(nn.Module):
    """Log-mel energies as Kaldi's `compute-fbank-feats` makes them: povey window, pre-emphasis 0.97,
    DC removal, power spectrum of 512 points, snip_edges.

    A frame depends on its own 400 samples only, so padding never changes a valid frame. Scriptable.

    Args:
        config: number of filters, and the dither of training.
    """

    def __init__(self, config: FbankConfig) -> None:
        super().__init__()
        self.window: Tensor
        self.filters: Tensor
        self.dither = config.dither
        self.frame_length, self.frame_shift = FRAME_LENGTH, FRAME_SHIFT
        self.fft_length, self.log_floor = _FFT_LENGTH, _LOG_FLOOR
        self.scale, self.preemphasis = _INT16_SCALE, _PREEMPHASIS
        self.frames_per_block = _FRAMES_PER_BLOCK
        window = torch.hann_window(FRAME_LENGTH, periodic=False, dtype=torch.float64).pow(0.85)
        self.register_buffer("window", window.float(), persistent=False)
        self.register_buffer("filters", _mel_filters(config.num_mel_bins).float(), persistent=False)

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Compute features.

        Args:
            waveforms: (batch, samples) in [-1, 1], 16 kHz.
            num_samples: (batch,) valid samples of each row.
        Returns:
            features (batch, frames, num_mel_bins), natural log, and (batch,) valid frames.
        """
        lens = self.num_frames(num_samples)
        batch = waveforms.shape[0]
        if waveforms.shape[1] < self.frame_length or batch == 0:
            return waveforms.new_zeros(batch, 0, self.filters.shape[1]), lens
        samples = waveforms * self.scale
        if self.training and self.dither > 0:
            samples = samples + self.dither * torch.randn_like(samples)
        frames = samples.unfold(1, self.frame_length, self.frame_shift)
        if waveforms.device.type != "cpu":
            return self._log_mel(frames), lens
        if batch == 1 and frames.shape[1] <= self.frames_per_block:
            return self._log_mel(frames), lens
        features = waveforms.new_empty(batch, frames.shape[1], self.filters.shape[1])
        for row in range(batch):  # in blocks that fit in the processor's cache: several times as fast
            for start in range(0, frames.shape[1], self.frames_per_block):
                end = min(start + self.frames_per_block, frames.shape[1])
                features[row, start:end] = self._log_mel(frames[row, start:end])
        return features, lens

    def num_frames(self, num_samples: Tensor) -> Tensor:
        """(batch,) frames that (batch,) samples give."""
        return (1 + torch.div(num_samples - self.frame_length, self.frame_shift, rounding_mode="floor")).clamp(min=0)

    def _log_mel(self, frames: Tensor) -> Tensor:
        """(..., num_mel_bins) of frames (..., 400)."""
        centred = frames - frames.mean(dim=-1, keepdim=True)
        # Kaldi emphasises a frame's first sample against itself, but the window makes that one 0.
        emphasised = torch.sub(centred[..., 1:], centred[..., :-1], alpha=self.preemphasis).mul_(self.window[1:])
        # One sample earlier in time: the power spectrum is the same. The Nyquist bin has no filter weight in Kaldi.
        spectrum = torch.view_as_real(torch.fft.rfft(emphasised, n=self.fft_length)[..., : self.fft_length // 2])
        power = spectrum[..., 0].square().addcmul_(spectrum[..., 1], spectrum[..., 1])
        return torch.matmul(power, self.filters).clamp_(min=self.log_floor).log_()


def _mel_filters(num_mel_bins: int) -> Tensor:
    """(256, num_mel_bins) triangles, equally spaced on Kaldi's mel scale 1127 ln(1 + f / 700), float64."""
    low, high = (1127.0 * math.log(1.0 + f / 700.0) for f in (_LOW_FREQUENCY, _HIGH_FREQUENCY))
    edges = torch.linspace(low, high, num_mel_bins + 2, dtype=torch.float64)
    frequencies = torch.arange(_FFT_LENGTH // 2, dtype=torch.float64) * (SAMPLE_RATE / _FFT_LENGTH)
    mel = (1127.0 * torch.log(1.0 + frequencies / 700.0)).unsqueeze(1)
    rising = (mel - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0.0)
