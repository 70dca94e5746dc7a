"""The two forms of prefix beam search; the compiled one is tested where numba is installed."""

import pytest

from wenet_lite.decoding.compilation import HAS_NUMBA

needs_numba = pytest.mark.skipif(not HAS_NUMBA, reason="numba is not installed: there is no compiled search")
both_forms = pytest.mark.parametrize(
    "compiled", [pytest.param(True, marks=needs_numba, id="compiled"), pytest.param(False, id="tensors")]
)
