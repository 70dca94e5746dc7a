"""What a server is told at its start: where to listen, whom to let in, and how much to take."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from wenet_lite.runtime.endpoint import Endpointing

WENET_ENDPOINTING = Endpointing(rule1_silence_s=5.0, rule2_silence_s=1.0, rule3_utterance_s=20.0)
"""The seconds of WeNet's server, which its clients know."""


@dataclass(frozen=True)
class Limits:
    """How much one client, and all of them together, may ask for.

    Attributes:
        connections: websockets at a time.
        message_bytes: of one websocket message.
        stream_s: seconds of audio of a stream.
        unheard_s: seconds of a stream's audio that wait for the model before its connection is read on.
        unread_results: final results that wait for a client to read them.
        idle_s: seconds without a message, or without a result being read.
        hotwords: phrases of a stream or file.
        hotword_chars: characters of a phrase.
        files: uploads that are received, wait or are recognised at a time.
        file_s: seconds of audio of a file.
        upload_bytes: of a file, as it is coded.
        upload_s: seconds that an upload may take.
    """

    connections: int = 100
    message_bytes: int = 1 << 20
    stream_s: float = 4 * 3600.0
    unheard_s: float = 10.0
    unread_results: int = 100
    idle_s: float = 60.0
    hotwords: int = 100
    hotword_chars: int = 100
    files: int = 8
    file_s: float = 3600.0
    upload_bytes: int = 100 << 20
    upload_s: float = 300.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0 or (value == 0 and name not in ("hotwords", "files")):
                raise ValueError(f"{name} must be more than 0")


@dataclass(frozen=True)
class ServerOptions:
    """Attributes:
    model_name: by which clients of the file API know the model.
    host, port: to listen at; port 0 takes a free one.
    token: that clients must know, None where all are welcome.
    certificate, key: PEM files for TLS, both or none.
    allow_origins: origins of web pages, other than the server's own, that may talk to it; `*` stands for any.
    drain_s: seconds that work under way may take after SIGTERM.
    threads: that hear streams, each on a core.
    file_threads: files that are recognised at a time.
    log_text: recognised text may go into the log.
    limits: how much is taken.
    endpointing: where a segment of a stream ends.
    """

    model_name: str
    host: str = "127.0.0.1"
    port: int = 10086
    token: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    allow_origins: tuple[str, ...] = ()
    drain_s: float = 30.0
    threads: int = 1
    file_threads: int = 1
    log_text: bool = False
    limits: Limits = field(default_factory=Limits)
    endpointing: Endpointing = WENET_ENDPOINTING

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key are needed together")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be from 0 to 65535, not {self.port}")
        if self.token == "":
            raise ValueError("an empty token lets everybody in")
        if self.threads < 1 or self.file_threads < 1 or self.drain_s < 0:
            raise ValueError("threads and file_threads must be at least 1, drain_s not negative")
