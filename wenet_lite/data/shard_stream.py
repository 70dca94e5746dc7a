"""Reading shards in sequence, from whatever streams them."""

from __future__ import annotations

import contextlib
import http.client
import logging
import queue
import subprocess
import tarfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from typing import IO, TypeVar

from wenet_lite.data.audio_source import SUFFIXES, EncodedAudio
from wenet_lite.data.batch_plan import MicroBatch
from wenet_lite.data.manifest import Manifest
from wenet_lite.data.shard_list import local_path
from wenet_lite.errors import AudioError

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_ATTEMPTS = 3
_TIMEOUT_S = 60.0


class ShardReader:
    """Hands out the audio of utterances whose shards are read in sequence, each once.

    A shard is read from end to end when the first of its utterances is asked for; those that will be asked for
    later are held until then. With the windows of a `ShardPlan` that is a window for each of its lanes.

    Args:
        manifest: of shards.
        micro_batches: what will be asked for, in this order.
    """

    def __init__(self, manifest: Manifest, micro_batches: Iterable[MicroBatch]) -> None:
        self._manifest = manifest
        self._wanted = {int(index) for batch in micro_batches for index in batch.indices}
        self._held: dict[int, EncodedAudio | AudioError] = {}

    def take(self, index: int) -> EncodedAudio | AudioError:
        """The audio of utterance `index`, or why there is none; it is not held any longer."""
        if index not in self._held:
            self._read_shard(self._manifest.shard_of(index))
        self._wanted.discard(index)
        return self._held.pop(index)

    @property
    def num_held(self) -> int:
        """Utterances held for later."""
        return len(self._held)

    def _read_shard(self, number: int) -> None:
        manifest = self._manifest
        shard = manifest.shards[number]
        end = manifest.starts[number + 1] if number + 1 < len(manifest.starts) else len(manifest)
        lacking = {manifest[i].key: i for i in range(int(manifest.starts[number]), int(end)) if i in self._wanted}
        reason = "is in the index of its shard but not in the shard"
        for attempt in range(_ATTEMPTS):
            try:
                with open_shard(shard) as stream:
                    for key, content in audio_members(stream):
                        index = lacking.pop(key, None)
                        if index is not None:
                            self._held[index] = EncodedAudio(f"{shard}[{key}]", content)
                break
            except (OSError, http.client.HTTPException, tarfile.TarError, AudioError) as error:
                reason = f"its shard broke off: {error}"
                _LOG.warning("%s: attempt %d of %d: %s", shard, attempt + 1, _ATTEMPTS, error)
        for key, index in lacking.items():
            self._held[index] = AudioError(reason, path=f"{shard}[{key}]")


@contextlib.contextmanager
def open_shard(shard: str) -> Iterator[IO[bytes]]:
    """Open a local file, a URL or the output of a command (which is run) for reading in sequence.

    Raises:
        OSError: if it cannot be opened.
        AudioError: if a command exits with another status than 0.
    """
    path = local_path(shard)
    if path is not None:
        with open(path, "rb") as stream:
            yield stream
    elif shard.endswith("|"):
        command = ["bash", "-c", f"set -o pipefail; {shard[:-1]}"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            yield process.stdout
            while process.stdout.read(1 << 16):  # what follows the end of the tar
                pass
            if process.wait():
                raise AudioError(f"exited with status {process.returncode}", path=shard)
    else:
        with urllib.request.urlopen(shard, timeout=_TIMEOUT_S) as response:
            yield response


def audio_members(stream: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """Key and content of each audio file in a tar that is read in sequence.

    Raises:
        tarfile.TarError: if the stream is no tar or ends inside a member.
    """
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            key, _, suffix = member.name.rpartition(".")
            content = tar.extractfile(member) if suffix.lower() in SUFFIXES else None
            if content is not None:
                yield key, content.read()


def read_ahead(items: Iterable[T], count: int) -> Iterator[T]:
    """The items, produced by a thread that is at most `count` of them ahead."""
    ready: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(count)
    stopped = threading.Event()

    def offer(going_on: bool, item: T | BaseException | None) -> bool:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                ready.put((going_on, item), timeout=0.1)
                return True
        return False

    def produce() -> None:
        try:
            for item in items:
                if not offer(True, item):
                    return
            offer(False, None)
        except BaseException as error:  # handed to the reader, who raises it
            offer(False, error)

    threading.Thread(target=produce, daemon=True).start()
    try:
        while True:
            going_on, item = ready.get()
            if isinstance(item, BaseException):
                raise item
            if not going_on:
                return
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
