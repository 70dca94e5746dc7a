"""Where a server listens: taken before the model is loaded, so that a mistake is told at once."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from wenet_lite.errors import ConfigError
from wenet_lite.runtime.server.options import ServerOptions


@dataclass(frozen=True)
class Listener:
    """Attributes:
    socket: that listens; who connects waits until he is served.
    tls: None for plain connections.
    """

    socket: socket.socket
    tls: ssl.SSLContext | None

    @property
    def address(self) -> str:
        """For a browser."""
        host, port = self.socket.getsockname()[:2]
        return f"{'https' if self.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/"


@contextmanager
def listen(options: ServerOptions) -> Iterator[Listener]:
    """Take the address, until the end of the block.

    Raises:
        ConfigError: if it cannot be had, or certificate and key cannot be used.
    """
    tls = _tls(options)
    try:
        family, kind, number, _, address = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, kind, number)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        where = f"{options.host}:{options.port}"
        raise ConfigError(f"cannot listen at {where}: {reason}", cure="choose another --host or --port") from error
    with taken:
        yield Listener(taken, tls)


def _tls(options: ServerOptions) -> ssl.SSLContext | None:
    if options.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.certificate, options.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"certificate and key cannot be used: {error}", path=options.certificate) from error
    return context
