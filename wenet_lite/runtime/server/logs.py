"""The server's log: an event a line, as JSON, or plain for a terminal."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO

_LOG = logging.getLogger("wenet_lite.serve")


def log_event(event: str, **fields: object) -> None:
    """Tell that something happened.

    Args:
        event: what, in a word or two.
        fields: facts about it; numbers are rounded to milliseconds or thousandths.
    """
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in fields.items()}
    _LOG.info(event, extra={"fields": rounded})


def log_bug(event: str) -> None:
    """Tell of the exception that is handled now, with its stack: a bug of ours."""
    _LOG.exception(event)


def set_up_logs(*, log_text: bool, stream: TextIO = sys.stderr) -> None:
    """Have all logs go to `stream`.

    Args:
        log_text: what clients say may be in it; hotwords that cannot be spelled are not named otherwise.
        stream: JSON lines, unless it is a terminal.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Plain() if stream.isatty() else _JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    if not log_text:
        logging.getLogger("wenet_lite.decoding.hotword_list").setLevel(logging.ERROR)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {"time": f"{moment}.{record.msecs:03.0f}Z", "level": record.levelname, "event": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Plain(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s%(facts)s")

    def format(self, record: logging.LogRecord) -> str:
        record.facts = "".join(f" {name}={value}" for name, value in getattr(record, "fields", {}).items())
        return super().format(record)
