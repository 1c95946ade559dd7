"""The model server as an ASGI application: routes, bodies, statuses. What a message means is the protocols' matter."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from types import ModuleType
from typing import TYPE_CHECKING, Any

import orjson

from sailplane.errors import ModelError, RequestError
from sailplane.registry.bundle import Bundle
from sailplane.registry.columns import typed_frame
from sailplane.serving import open_inference, seldon

if TYPE_CHECKING:
    import numpy as np
    from starlette.types import Receive, Scope, Send

MAX_BODY_BYTES = 16 * 2**20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[bytes], Awaitable[object]]


class ModelServer:
    """Serves one version. Every answer is valid JSON and carries `x-sailplane-version`."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._version = bundle.version.encode()
        # One thread: a slow prediction delays the next one, and no health check.
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")
        self._routes = self._table()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope, receive)
        except RequestError as error:
            answer = _failure(error.status, str(error))
        except ModelError as error:
            answer = _failure(422, str(error))
        except _ClientGone:
            return
        except Exception:
            _log.exception("%s %s", scope["method"], scope["path"])
            answer = _failure(500, "The model failed on this request. The reason is in the model server's log.")
        await self._send(answer, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        methods = self._routes.get(scope["path"])
        if methods is None:
            raise RequestError("find", scope["path"], status=404, got="no such path", expected=", ".join(self._routes))
        handler = methods.get(scope["method"])
        if handler is None:
            allowed = ", ".join(methods)
            failure = _failure(405, f"{scope['path']} takes {allowed}, not {scope['method']}.")
            return Answer(failure.status, failure.body, ((b"allow", allowed.encode()),))
        result = await handler(await _body(scope, receive))
        try:
            return Answer(200, orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY))
        except orjson.JSONEncodeError as error:  # what comes back of a request may be too deep to be written again
            raise RequestError("answer with meta.tags", got=error, remedy="Nest them less deeply.") from error

    async def _send(self, answer: Answer, send: Send) -> None:
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer.body)).encode()),
            (b"x-sailplane-version", self._version),
            *answer.headers,
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _table(self) -> Mapping[str, Mapping[str, Handler]]:
        manifest, version = self._bundle.manifest, self._bundle.version
        predict, infer = {"POST": self._predicts(seldon)}, {"POST": self._predicts(open_inference)}
        ready = {"name": manifest.model, "ready": True}
        table: dict[str, Mapping[str, Handler]] = {
            "/api/v1.0/predictions": predict,
            "/api/v0.1/predictions": predict,
            "/predict": predict,
            "/metadata": {"GET": _says(seldon.metadata(manifest, version))},
            "/health/ping": {"GET": _says("pong")},
            "/health/status": {"GET": _says({"model": manifest.model, "version": version, "status": "ok"})},
            "/v2/health/live": {"GET": _says({"live": True})},
            "/v2/health/ready": {"GET": _says({"ready": True})},
        }
        for prefix in (f"/v2/models/{manifest.model}", f"/v2/models/{manifest.model}/versions/{version}"):
            table[prefix] = {"GET": _says(open_inference.metadata(manifest, version))}
            table[f"{prefix}/ready"] = {"GET": _says(ready)}
            table[f"{prefix}/infer"] = infer
        return table

    def _predicts(self, protocol: ModuleType) -> Handler:
        bundle = self._bundle

        async def predict(body: bytes) -> object:
            message = _json(body)
            columns = protocol.columns(message, bundle.manifest.inputs)
            scores = await asyncio.get_running_loop().run_in_executor(self._pool, self._score, columns)
            return protocol.reply(message, bundle.manifest, bundle.version, scores)

        return predict

    def _score(self, columns: Mapping[str, list[object]]) -> np.ndarray:
        return self._bundle.predict(typed_frame(columns, self._bundle.manifest.inputs))


class _ClientGone(Exception):
    pass


def _says(result: object) -> Handler:
    async def say(_body: bytes) -> object:
        return result

    return say


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(
            "read request", got=f"no valid JSON: {error}", remedy="NaN and Infinity are none."
        ) from error


async def _body(scope: Scope, receive: Receive) -> bytes:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    _check_size(int(length) if length.isdigit() else 0)
    body, more = bytearray(), True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise _ClientGone
        body += event.get("body", b"")
        more = event.get("more_body", False)
        _check_size(len(body))
    return bytes(body)


def _check_size(size: int) -> None:
    if size > MAX_BODY_BYTES:
        limit = f"at most {MAX_BODY_BYTES} bytes"
        raise RequestError("read request", status=413, got="a larger body", expected=limit, remedy="Send fewer rows.")


def _failure(status: int, reason: str) -> Answer:
    """`error` is what the Open Inference Protocol says, `status` what Seldon's does."""
    code = HTTPStatus(status).name
    seldon_status = {"code": status, "info": reason, "reason": code, "status": "FAILURE"}
    return Answer(status, orjson.dumps({"error": reason, "status": seldon_status}))
