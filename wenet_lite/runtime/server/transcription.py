"""`POST /v1/audio/transcriptions` and `GET /v1/models`, as clients of OpenAI's API know them."""

from __future__ import annotations

import time

from aiohttp import web

from wenet_lite.runtime.server.form import Form, read_form, room_for_upload
from wenet_lite.runtime.server.formats import render
from wenet_lite.runtime.server.logs import log_event
from wenet_lite.runtime.server.refusals import Reason, Refusal
from wenet_lite.runtime.server.service import Service


class Transcription:
    """Answers requests of the file API.

    Args:
        service: that it belongs to.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def transcribe(self, request: web.Request) -> web.Response:
        """Recognise an uploaded file.

        Raises:
            Refusal: if the request cannot be served.
        """
        service, began = self._service, time.monotonic()
        service.check_open()
        with service.files.place(), room_for_upload() as file:
            form = await read_form(request, file, service.options.limits)
            self._check_fields(form)
            response_format, granularities = form.format, form.granularities
            transcript = await service.files.transcribe(file, form.hotwords(service.options.limits))
        seconds, number = time.monotonic() - began, service.next_number()
        text = {"text": transcript.text} if service.options.log_text else {}
        log_event("file", file=number, remote=request.remote, audio_s=transcript.duration, seconds=seconds, **text)
        body = render(transcript, response_format, granularities, form.value("language"))
        return web.Response(text=body.text, content_type=body.content_type)

    async def models(self, request: web.Request) -> web.Response:
        """The one model there is."""
        model = {"id": self._service.options.model_name, "object": "model", "created": 0, "owned_by": "wenet_lite"}
        return web.json_response({"object": "list", "data": [model]})

    def _check_fields(self, form: Form) -> None:
        name = self._service.options.model_name
        if form.value("model") not in (None, name):
            raise Refusal(Reason.UNKNOWN_MODEL, f"the model here is {name}", field="model")
        if (form.value("stream") or "false").lower() not in ("false", "0"):
            raise Refusal(Reason.MALFORMED, "stream is for the websocket at /ws; leave it out here", field="stream")


def error_body(refusal: Refusal) -> dict[str, dict[str, str | None]]:
    """A refusal as that API words errors."""
    kind = "server_error" if refusal.reason.status >= 500 else "invalid_request_error"
    return {"error": {"message": refusal.message, "type": kind, "param": refusal.field, "code": refusal.reason.label}}
