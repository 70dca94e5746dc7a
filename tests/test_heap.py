"""Free memory goes back to the system from time to time, once for all threads."""

from concurrent.futures import ThreadPoolExecutor
from unittest import mock

from wenet_lite import heap


def test_many_threads_trim_once_an_interval() -> None:
    with mock.patch.object(heap, "trim_heap") as trim, mock.patch.object(heap.time, "monotonic") as clock:
        clock.return_value = 100.0
        trimmer = heap.HeapTrimmer(2.0)
        counts = []
        for now in (101.0, 102.0, 103.9, 104.0, 109.0):
            clock.return_value = now
            with ThreadPoolExecutor(4) as threads:
                list(threads.map(lambda _: trimmer(), range(8)))
            counts.append(trim.call_count)
    assert counts == [0, 1, 1, 2, 3]
