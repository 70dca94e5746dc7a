"""Who may talk to the server."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from aiohttp import web

from wenet_lite.runtime.server.refusals import Reason, Refusal

_BEARER = "Bearer "


def check_token(expected: str | None, given: str | None) -> None:
    """Compare tokens in constant time.

    Args:
        expected: the server's, None where it has none.
        given: the client's.
    Raises:
        Refusal: if they differ.
    """
    if expected is None:
        return
    if given is None or not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
        raise Refusal(Reason.TOKEN, "the token is missing or wrong")


def token_of(request: web.Request) -> str | None:
    """The token of `Authorization: Bearer` or `?token=`."""
    header = request.headers.get("Authorization", "")
    return header.removeprefix(_BEARER) if header.startswith(_BEARER) else request.query.get("token")


def check_origin(request: web.Request, allowed: Sequence[str]) -> None:
    """A web page may only talk to the server that it came from, or be one of `allowed`; other clients tell no origin.

    Raises:
        Refusal: if the request comes from another page.
    """
    origin = request.headers.get("Origin")
    if origin is None or "*" in allowed or origin in allowed:
        return
    scheme, _, host = origin.lower().partition("://")
    if scheme not in ("http", "https") or host != request.host.lower():
        raise Refusal(Reason.ORIGIN, "web pages of this origin are not served (--allow-origin)")
