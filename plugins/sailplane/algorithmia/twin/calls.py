"""Calls of algorithms: `POST /v1/algo/{owner}/{name}[/{version}]?timeout&stdout&output=raw|void`.

An algorithm's failure has status 200, as the Python client expects: for other statuses it shows only the number, not
the message. Raw output can report a failure only by status and header.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import uuid4

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sailplane.algorithmia.twin import refusals, served, versions
from sailplane.algorithmia.twin.execution import Executions, Input, Output
from sailplane.algorithmia.twin.refusals import Refusal
from sailplane.algorithmia.twin.streams import body
from sailplane.algorithmia.twin.twin import Twin
from sailplane.errors import RequestError, SailplaneError

# Algorithmia's own limits.
MOST_BODY_BYTES: Final = 10 * 2**20
MOST_SECONDS: Final = 3000
DEFAULT_SECONDS: Final = 300
_MOST_WAITING: Final = 64

_log = logging.getLogger(__name__)
Work = Callable[[], Awaitable[Output]]


class Calls:
    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._executions = Executions()
        self._waiting: set[asyncio.Task[None]] = set()

    async def __call__(self, request: Request, caller: str) -> Response:
        started, output = time.monotonic(), request.query_params.get("output", "")
        request_id = f"req-{uuid4()}"
        try:
            if output not in ("", "raw", "void"):
                raise RequestError("read output", got=repr(output)[:100], expected="raw or void")
            work = await self._work(request, caller)
            if output == "void":
                return self._begin(work, request_id)
            found = await work()
        except SailplaneError as error:
            return _failed(error, request_id, raw=output == "raw")
        if output == "raw":
            return _raw(found)
        metadata: dict[str, Any] = {"content_type": found.content_type, "duration": time.monotonic() - started}
        if request.query_params.get("stdout", "").lower() == "true":
            metadata["stdout"] = found.stdout
        return JSONResponse({"result": found.result, "metadata": metadata, "request_id": request_id})

    async def _work(self, request: Request, caller: str) -> Work:
        """The work to do, after every check that can refuse it at once."""
        parts = request.path_params
        owner, name, version = parts["owner"], parts["name"], parts.get("version")
        seconds = _seconds(request.query_params.get("timeout"))
        given = _given(request.headers.get("Content-Type", ""), await body(request, MOST_BODY_BYTES))
        if owner == served.OWNER:
            return lambda: self._twin.do(served.answer, self._twin.home, name, version, given, seconds)
        source = await self._twin.do(self._source, caller, owner, name, version)
        return lambda: self._executions.run(source, given, seconds)

    def _source(self, caller: str, owner: str, name: str, version: str | None) -> str:
        record = self._twin.algorithms.record(owner, name)
        owned = self._twin.acts_for(caller, owner)
        if not owned and record["settings"].get("algorithm_callability") != "public":
            raise Refusal(404, "No such algorithm", error_type="NotFoundError")
        return self._twin.algorithms.source(record, versions.chosen(record, version, owned=owned))

    def _begin(self, work: Work, request_id: str) -> Response:
        if len(self._waiting) >= _MOST_WAITING:
            raise Refusal(429, f"{_MOST_WAITING} calls without output are running. Try again later.")

        async def run() -> None:
            try:
                await work()
            except SailplaneError as error:
                _log.warning("%s: %s", request_id, error)

        task = asyncio.create_task(run())
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        return JSONResponse({"async": "void", "request_id": request_id})


def _given(content_type: str, content: bytes) -> Input:
    """Raises RequestError for text that is not UTF-8, and for invalid JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/octet-stream":
        return Input("binary", base64.b64encode(content).decode())
    try:
        if kind == "application/json":
            return Input("json", orjson.loads(content))
        return Input("text", content.decode())
    except ValueError as error:
        raise RequestError("read input", got=error, expected="JSON" if "json" in kind else "UTF-8") from error


def _seconds(timeout: str | None) -> int:
    if timeout is None:
        return DEFAULT_SECONDS
    if not timeout.isdecimal() or not 1 <= int(timeout) <= MOST_SECONDS:
        raise RequestError("read timeout", got=repr(timeout)[:100], expected=f"1 to {MOST_SECONDS} seconds")
    return int(timeout)


def _raw(found: Output) -> Response:
    match found.content_type:
        case "binary":
            return Response(base64.b64decode(found.result), media_type="application/octet-stream")
        case "text":
            return Response(found.result, media_type="text/plain")
    return JSONResponse(found.result)


def _failed(error: SailplaneError, request_id: str, *, raw: bool) -> Response:
    answer = refusals.refused(error)
    # A dead process is not the algorithm's own failure.
    if raw or answer.status_code == 500:
        return answer
    return JSONResponse({**refusals.document(error), "request_id": request_id}, headers=_message(answer))


def _message(answer: Response) -> dict[str, str]:
    return {"X-Error-Message": answer.headers["X-Error-Message"]}
