"""Recognition of whole files beside the streams."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import numpy as np
import soundfile

from wenet_lite.data.audio import audio_info
from wenet_lite.data.audio_blocks import read_blocks
from wenet_lite.data.audio_source import EncodedAudio
from wenet_lite.errors import AudioError
from wenet_lite.features.fbank import SAMPLE_RATE
from wenet_lite.heap import HeapTrimmer
from wenet_lite.runtime.recognizer import Recognizer
from wenet_lite.runtime.sample_rates import UPLOAD_RATES
from wenet_lite.runtime.server.metrics import Metrics
from wenet_lite.runtime.server.options import ServerOptions
from wenet_lite.runtime.server.refusals import Reason, Refusal
from wenet_lite.runtime.transcript import Transcript

_MAX_CHANNELS = 16
_NICENESS = 10


class FileQueue:
    """Files are recognised in threads of their own, which give way to the thread of the streams.

    Args:
        recognizer: the model.
        options: how many files at a time, and how long they may be.
        metrics: to keep.
        trim: is told of work.
    Attributes:
        taken: files that are received, wait or are recognised.
    """

    def __init__(self, recognizer: Recognizer, options: ServerOptions, metrics: Metrics, trim: HeapTrimmer) -> None:
        self._recognizer, self._limits, self._metrics, self._trim = recognizer, options.limits, metrics, trim
        self._threads = ThreadPoolExecutor(options.file_threads, "files", initializer=_give_way)
        self.taken = 0
        self._recognized: set[int] = set()  # by which threads

    @property
    def busy(self) -> bool:
        """A file is recognised, though perhaps nobody waits for it any more."""
        return bool(self._recognized)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place for one file, from its first byte on.

        Raises:
            Refusal: if all are taken.
        """
        if self.taken >= self._limits.files:
            raise Refusal(Reason.FULL, f"{self._limits.files} files are under way; try again later")
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    async def transcribe(self, upload: BinaryIO, hotwords: Sequence[str]) -> Transcript:
        """Recognise a file when its turn comes.

        Args:
            upload: open, of any format that libsndfile reads.
            hotwords: phrases to listen for.
        Raises:
            Refusal: if it cannot be decoded, or is too long.
        """
        running = asyncio.get_running_loop().run_in_executor(self._threads, self._transcribe, upload, hotwords)
        return await running

    def stop(self) -> None:
        """Begin no more files."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _transcribe(self, upload: BinaryIO, hotwords: Sequence[str]) -> Transcript:
        began = time.monotonic()
        self._recognized.add(threading.get_ident())
        try:
            samples = decode(upload, self._limits.file_s)
            transcript = self._recognizer.transcribe(samples, hotwords=hotwords)
        finally:
            self._recognized.discard(threading.get_ident())
            self._trim()
        self._metrics.heard("file", len(samples) / SAMPLE_RATE, time.monotonic() - began)
        return transcript

    def _count(self, change: int) -> None:
        self.taken += change
        self._metrics.queue_depth.labels("file").set(self.taken)


def decode(upload: BinaryIO, max_s: float) -> np.ndarray:
    """Decode the first channel of a file, whose length is looked at first: a few bytes can stand for days.

    Args:
        upload: the file.
        max_s: seconds that it may have.
    Returns:
        (samples,) float32 at 16 kHz.
    Raises:
        Refusal: if it cannot be decoded, or is too long.
    """
    upload.seek(0)
    source = EncodedAudio("the file", upload.read())
    try:
        info = audio_info(source)
        if info.sample_rate not in UPLOAD_RATES or soundfile.info(source.open()).channels > _MAX_CHANNELS:
            message = (
                f"the file must have {UPLOAD_RATES[0]} to {UPLOAD_RATES[-1]} Hz and at most {_MAX_CHANNELS} channels"
            )
            raise Refusal(Reason.UNDECODABLE, message, field="file")
        if info.duration > max_s:
            raise Refusal(Reason.TOO_LONG, f"the file is longer than {max_s:g} s", field="file")
        return np.concatenate(list(read_blocks(source, sample_rate=SAMPLE_RATE)))
    except AudioError as error:
        raise Refusal(Reason.UNDECODABLE, str(error), field="file") from error


def _give_way() -> None:
    """Linux gives threads a niceness of their own."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
