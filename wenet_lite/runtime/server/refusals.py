"""Why a server says no."""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """A label for logs and metrics, the status over HTTP and the close code of a websocket (RFC 6455)."""

    MALFORMED = "malformed", 400, 1008
    UNDECODABLE = "undecodable", 400, 1008
    TOKEN = "token", 401, 1008
    ORIGIN = "origin", 403, 1008
    UNKNOWN_MODEL = "unknown_model", 404, 1008
    IDLE = "idle", 408, 1008
    TOO_LARGE = "too_large", 413, 1009
    TOO_LONG = "too_long", 413, 1008
    SLOW_READER = "slow_reader", 408, 1008
    FULL = "full", 503, 1013
    STOPPING = "stopping", 503, 1001
    INTERNAL = "internal", 500, 1011

    def __init__(self, label: str, status: int, close_code: int) -> None:
        self.label, self.status, self.close_code = label, status, close_code


class Refusal(Exception):
    """A request that is not served.

    Args:
        reason: of which kind.
        message: what the client is told, one line.
        field: of a form, where one is at fault.
    """

    def __init__(self, reason: Reason, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.reason, self.message, self.field = reason, message, field
