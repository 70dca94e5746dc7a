"""Global cepstral mean and variance normalisation: its statistics and its layer."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from wenet_lite.data.kaldi import write_lines
from wenet_lite.errors import DataError
from wenet_lite.features.kaldi_matrix import parse_matrix

_VARIANCE_FLOOR = 1e-20


@dataclass(frozen=True)
class CmvnStats:
    """Sums over all frames of a corpus.

    Attributes:
        total: (dim,) sum of the features, float64.
        total_squares: (dim,) sum of their squares, float64.
        num_frames: frames summed.
    """

    total: Tensor
    total_squares: Tensor
    num_frames: int

    @classmethod
    def of(cls, features: Tensor) -> CmvnStats:
        """Statistics of (frames, dim) features."""
        features = features.double()
        return cls(features.sum(0), features.square().sum(0), features.shape[0])

    def __add__(self, other: CmvnStats) -> CmvnStats:
        return CmvnStats(
            self.total + other.total, self.total_squares + other.total_squares, self.num_frames + other.num_frames
        )

    def mean_and_istd(self) -> tuple[Tensor, Tensor]:
        """(dim,) mean and inverse standard deviation, float32."""
        mean = self.total / self.num_frames
        variance = self.total_squares / self.num_frames - mean.square()
        return mean.float(), variance.clamp(min=_VARIANCE_FLOOR).rsqrt().float()


def write_cmvn(stats: CmvnStats, path: str | os.PathLike[str]) -> None:
    """Write statistics as JSON in WeNet's keys `mean_stat`, `var_stat` (sums) and `frame_num`, by rename."""
    tree = {
        "schema": 1,
        "mean_stat": stats.total.tolist(),
        "var_stat": stats.total_squares.tolist(),
        "frame_num": stats.num_frames,
    }
    write_lines(path, [json.dumps(tree).encode()])


def read_cmvn(path: str | os.PathLike[str]) -> CmvnStats:
    """Read statistics that `write_cmvn`, WeNet (JSON) or Kaldi's `compute-cmvn-stats` (text or binary) wrote.

    Raises:
        DataError: if the file is missing, is in none of these formats, or counts no frame.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        message = f"cannot read CMVN statistics: {error.strerror}"
        raise DataError(message, path=path, cure="stage 2 makes them") from error
    try:
        if content.lstrip().startswith(b"{"):
            tree = json.loads(content)
            total, total_squares, count = tree["mean_stat"], tree["var_stat"], tree["frame_num"]
        else:
            (*total, count), (*total_squares, _) = parse_matrix(content).tolist()
        sums, squares = (torch.tensor(values, dtype=torch.float64) for values in (total, total_squares))
        stats = CmvnStats(sums, squares, int(count))
    except (ValueError, KeyError, TypeError, OverflowError, RuntimeError, RecursionError) as error:
        cure = "make them anew with stage 2"
        raise DataError("holds no CMVN statistics, as JSON or as Kaldi has them", path=path, cure=cure) from error
    if stats.num_frames < 1 or stats.total.dim() != 1 or stats.total.shape != stats.total_squares.shape:
        cure = "make them anew with stage 2"
        raise DataError("CMVN statistics count no frame or differ in size", path=path, cure=cure)
    return stats


class GlobalCmvn(nn.Module):
    """(x - mean) / standard deviation, with the corpus's statistics.

    Args:
        dim: size of a feature vector; the buffers start as mean 0 and istd 1.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.istd: Tensor
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("istd", torch.ones(dim))

    def set_stats(self, stats: CmvnStats) -> None:
        """Take over the statistics of a corpus.

        Raises:
            DataError: if their size is another one.
        """
        mean, istd = stats.mean_and_istd()
        if mean.shape != self.mean.shape:
            raise DataError(f"CMVN statistics have {len(mean)} dimensions, the features {len(self.mean)}")
        self.mean.copy_(mean)
        self.istd.copy_(istd)

    def statistics(self, given: CmvnStats | None = None) -> CmvnStats:
        """Statistics that give the layer's buffers: the given ones where they do, but for rounding, or else some of a
        single frame, for the layer does not know of how many it was."""
        mean, istd = self.mean.cpu(), self.istd.cpu()
        if given is not None and given.total.shape == mean.shape:
            pairs = zip(given.mean_and_istd(), (mean, istd))
            if all(torch.allclose(theirs, ours, rtol=1e-5, atol=1e-5) for theirs, ours in pairs):
                return given
        mean, istd = mean.double(), istd.double()
        return CmvnStats(mean, istd.pow(-2) + mean.square(), 1)

    def forward(self, features: Tensor) -> Tensor:
        """Normalise (batch, frames, dim)."""
        return (features - self.mean) * self.istd
