"""Results on their way to one client, which may read slowly."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable


class Outbox:
    """Messages in order; a partial result gives way to whatever comes after it.

    Args:
        most: messages that may wait, the partial result not counted.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._messages: deque[str] = deque()
        self._partial: str | None = None
        self._closed = False
        self._changed = asyncio.Event()

    def put(self, message: str) -> bool:
        """Add a message; False if too many wait."""
        self._messages.append(message)
        self._partial = None
        self._changed.set()
        return len(self._messages) <= self._most

    def put_partial(self, message: str) -> None:
        """Add a partial result, in place of one that waits."""
        self._partial = message
        self._changed.set()

    def close(self) -> None:
        """Nothing more is added."""
        self._closed = True
        self._changed.set()

    def discard(self) -> None:
        """Nobody reads any more."""
        self._messages.clear()
        self._partial = None
        self.close()

    async def send_all(self, send: Callable[[str], Awaitable[None]], patience_s: float) -> None:
        """Send what is there and what comes, until `close`.

        Args:
            send: returns when there is room for more.
            patience_s: how long it may take.
        Raises:
            asyncio.TimeoutError: if it takes longer.
        """
        while True:
            self._changed.clear()
            while (message := self._next()) is not None:
                await asyncio.wait_for(send(message), patience_s)
            if self._closed:
                return
            await self._changed.wait()

    def _next(self) -> str | None:
        if self._messages:
            return self._messages.popleft()
        message, self._partial = self._partial, None
        return message
