"""CTC prefix beam search (Hannun et al., 2014, algorithm 1), whole utterances and streams.

Where numba is installed it is compiled, and takes from the device the few posteriors a frame that are tried; else it
runs in tensors.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import torch
from torch import Tensor

from wenet_lite.decoding.fusion import NO_FUSION, Fusion
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.decoding.prefix_beam_tensors import TensorBeams

HAS_NUMBA = importlib.util.find_spec("numba") is not None


class CtcPrefixBeam:
    """The search of one stream: feed it frames in any portions, ask it for its n-best at any time.

    Args:
        beam_size: prefixes kept, and tokens tried at each frame.
        blank_id: index of the CTC blank.
        fusion: hotwords and language model.
        compiled: whether to run it compiled; else in tensors.
    """

    def __init__(
        self, beam_size: int, blank_id: int, fusion: Fusion = NO_FUSION, *, compiled: bool = HAS_NUMBA
    ) -> None:
        self._beam_size, self._blank_id, self._fusion = beam_size, blank_id, fusion
        self._compiled, self._tensors = None, None
        if compiled:
            from wenet_lite.decoding.prefix_beam_kernel import KernelBeam
