"""The multipart form of a transcription request; the file in it never has a name on disk."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from aiohttp import BodyPartReader, web

from wenet_lite.runtime.server.formats import FORMATS, GRANULARITIES, Format
from wenet_lite.runtime.server.options import Limits
from wenet_lite.runtime.server.protocol import check_hotwords
from wenet_lite.runtime.server.refusals import Reason, Refusal

_PORTION = 1 << 16
_FIELD_BYTES = 1 << 16
_MAX_FIELDS = 300
_NOT_THE_FILE = 1 << 20


@dataclass
class Form:
    """Attributes:
    file: what was uploaded, in a file without a name.
    num_bytes: of it; 0 where there was none.
    fields: values by name, `[]` at the end of a name left out.
    """

    file: BinaryIO
    num_bytes: int = 0
    fields: dict[str, list[str]] = field(default_factory=dict)

    def value(self, name: str) -> str | None:
        """The last value of a field, None where it is absent or empty."""
        return self.fields.get(name, [""])[-1] or None

    @property
    def format(self) -> Format:
        """The form of the response."""
        name = self.value("response_format") or "json"
        for known in FORMATS:
            if name == known:
                return known
        raise _malformed(f"response_format must be one of {', '.join(FORMATS)}", "response_format")

    @property
    def granularities(self) -> list[str]:
        """What verbose_json tells of."""
        names = self.fields.get("timestamp_granularities", ["segment"])
        if not set(names) <= set(GRANULARITIES):
            raise _malformed("timestamp_granularities[] are segment and word", "timestamp_granularities[]")
        return names

    def hotwords(self, limits: Limits) -> tuple[str, ...]:
        """Phrases to listen for, one a field or a line."""
        lines = [line for text in self.fields.get("hotwords", []) for line in text.splitlines()]
        return check_hotwords([line for line in lines if line.strip()], limits)


@contextmanager
def room_for_upload() -> Iterator[BinaryIO]:
    """A file that has no name and is gone at the end."""
    with tempfile.TemporaryFile() as file:
        yield file


async def read_form(request: web.Request, file: BinaryIO, limits: Limits) -> Form:
    """Read a request as it comes in.

    Args:
        request: multipart.
        file: takes the upload.
        limits: of bytes and seconds.
    Raises:
        Refusal: if it is malformed, too large or too slow.
    """
    if (request.content_length or 0) > limits.upload_bytes + _NOT_THE_FILE:
        raise _too_large(limits)
    form = Form(file)
    try:
        await asyncio.wait_for(_fill(request, form, limits), limits.upload_s)
    except asyncio.TimeoutError:
        raise Refusal(Reason.IDLE, f"the upload took more than {limits.upload_s:g} s") from None
    except (ValueError, AssertionError, RuntimeError, LookupError) as error:
        raise _malformed("the body is not a multipart form") from error
    if not form.num_bytes:
        raise _malformed("the form has no file, or an empty one", "file")
    return form


async def _fill(request: web.Request, form: Form, limits: Limits) -> None:
    if not request.content_type == "multipart/form-data":
        raise _malformed("the body is not a multipart form")
    reader, num_fields = await request.multipart(), 0
    while (part := await reader.next()) is not None:
        num_fields += 1
        if not isinstance(part, BodyPartReader) or part.name is None or num_fields > _MAX_FIELDS:
            raise _malformed("the body is not a multipart form of some fields")
        if part.name == "file":
            while portion := await part.read_chunk(_PORTION):
                form.num_bytes += form.file.write(portion)
                if form.num_bytes > limits.upload_bytes:
                    raise _too_large(limits)
        else:
            value = await _read_field(part)
            form.fields.setdefault(part.name.removesuffix("[]"), []).append(value)


async def _read_field(part: BodyPartReader) -> str:
    value = b""
    while portion := await part.read_chunk(_PORTION):
        value += portion
        if len(value) > _FIELD_BYTES:
            raise Refusal(Reason.TOO_LARGE, f"a field has at most {_FIELD_BYTES} bytes", field=part.name)
    return value.decode()


def _too_large(limits: Limits) -> Refusal:
    return Refusal(Reason.TOO_LARGE, f"the file has more than {limits.upload_bytes} bytes", field="file")


def _malformed(message: str, name: str | None = None) -> Refusal:
    return Refusal(Reason.MALFORMED, message, field=name)
