"""The page that a browser is shown."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from aiohttp import web

_SCRIPT = re.compile(r"<script[^>]*>(.*?)</script>", re.DOTALL)


class Page:
    """The page as a response; nothing in it may come from elsewhere, and only its own scripts run."""

    def __init__(self) -> None:
        self._text = files("wenet_lite.runtime.server").joinpath("page.html").read_text(encoding="utf-8")
        scripts = [f"'sha256-{_sha256(script)}'" for script in _SCRIPT.findall(self._text)]
        self._headers = {
            "Content-Security-Policy": f"default-src 'none'; script-src {' '.join(scripts)} blob:; "
            "style-src 'unsafe-inline'; img-src data:; media-src blob:; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Frame-Options": "DENY",
            "Cache-Control": "no-cache",
        }

    def response(self) -> web.Response:
        """The page."""
        return web.Response(text=self._text, content_type="text/html", headers=self._headers)


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
