"""Free memory goes back to the system: while there is work from time to time, and once after it."""

import time
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

from wenet_lite import heap


def test_the_heap_is_trimmed_once_an_interval_and_once_after_the_last_work() -> None:
    trimmed: list[float] = []
    with mock.patch.object(heap, "trim_heap", lambda: trimmed.append(time.monotonic())):
        trim = heap.HeapTrimmer(0.05)
        time.sleep(0.2)
        assert trimmed == []  # nobody has worked
        began = time.monotonic()
        with ThreadPoolExecutor(4) as threads:
            while time.monotonic() < began + 0.5:
                list(threads.map(lambda _: trim(), range(8)))
        last = time.monotonic()
        trim()
        time.sleep(0.5)
    gaps = [after - before for before, after in zip([began, *trimmed], trimmed)]
    assert 3 <= len(trimmed) <= 12 and min(gaps) >= 0.05
    assert trimmed[-1] >= last
    assert sum(moment >= last for moment in trimmed) <= 2
