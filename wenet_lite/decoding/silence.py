"""Where CTC hears nothing."""

from __future__ import annotations

from torch import Tensor

from wenet_lite.data.segments import longest_run


def silent_frame(log_probs: Tensor, blank_id: int) -> int:
    """A frame to cut at, in the second half: inside the longest run of frames without a token, or the likeliest.

    Args:
        log_probs: (frames, vocab) log posteriors.
        blank_id: index of the CTC blank.
    """
    first = len(log_probs) // 2
    later = log_probs[first:]
    start, length = longest_run((later.argmax(dim=1) == blank_id).cpu().numpy())
    return first + (start + length // 2 if length else int(later[:, blank_id].argmax()))
