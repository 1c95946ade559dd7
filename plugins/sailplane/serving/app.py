"""The model server as an ASGI application: routes, bodies, statuses. What a message means is the protocols' matter."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import orjson

from sailplane.errors import ModelError, OverloadError, RequestError
from sailplane.registry.columns import shown
from sailplane.serving import feedback, identity, metrics, open_inference, openapi, seldon, spool
from sailplane.serving.request_body import ClientGone, hear_out, read_body
from sailplane.serving.request_log import is_shadow
from sailplane.serving.scorer import Scorer

if TYPE_CHECKING:
    import numpy as np
    from starlette.types import Receive, Scope, Send

    from sailplane.serving.batcher import Values

_JSON: Final = ((b"content-type", b"application/json"),)
# Envoy says with it how long the caller waits.
_PATIENCE: Final = b"x-envoy-expected-rq-timeout-ms"

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Request:
    """With what the log says of it: the `id`, by which feedback and labels join, and the `scores` that it got."""

    headers: Mapping[bytes, bytes]
    body: bytes = b""
    id: str = ""
    scores: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = _JSON


Handler = Callable[[Request], Awaitable[Answer]]


class ModelServer:
    """Serves one version. Every answer is valid JSON, but for the ping's, the metrics' and tensors that were asked for
    as bytes, and carries `x-sailplane-version`; that of a prediction also its id, as `seldon-puid`. With a `token` all
    but the health checks want it (RFC 6750)."""

    def __init__(self, scorer: Scorer, token: str | None = None) -> None:
        self._scorer = scorer
        self._authorization = None if token is None else f"Bearer {token}".encode()
        self._version = scorer.bundle.version.encode()
        self._routes = self._table()
        self._kinds = self._logged()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        start = time.perf_counter()
        request = Request(dict(scope["headers"]))
        try:
            answer = await self._answer(scope, receive, request)
        except OverloadError as error:
            answer = _failure(error.status, str(error), (b"retry-after", str(error.retry_after).encode()))
        except RequestError as error:
            answer = _failure(error.status, str(error))
        except ModelError as error:
            answer = _failure(422, str(error))
        except ClientGone:
            return
        except Exception:
            _log.exception("%s %s", scope["method"], scope["path"])
            answer = _failure(500, "The model failed on this request. The reason is in the model server's log.")
        kind = self._kinds.get(scope["path"]) if scope["method"] == "POST" else None
        if kind is not None:
            request.id = request.id or identity.of(request.headers)
        seconds = time.perf_counter() - start
        await self._send(answer, request.id, receive, send)
        self._scorer.metrics.answered(_protocol(scope["path"]), answer.status, seconds)
        if kind is not None:
            self._record(kind, request, answer, seconds)

    async def _answer(self, scope: Scope, receive: Receive, request: Request) -> Answer:
        path, headers = scope["path"], request.headers
        methods = self._routes.get(path)
        if methods is None:
            raise RequestError("find", shown(path), status=404, got="no such path", expected=", ".join(self._routes))
        handler = methods.get(scope["method"])
        if handler is None:
            allowed = ", ".join(methods)
            return _failure(405, f"{path} takes {allowed}, not {scope['method']}.", (b"allow", allowed.encode()))
        if self._authorization and "/health/" not in path:
            given = headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, self._authorization):
                return _failure(
                    401, "This server wants `Authorization: Bearer TOKEN`.", (b"www-authenticate", b"Bearer")
                )
        request.body = await read_body(headers, receive, self._scorer.limits.body)
        return await handler(request)

    def _record(self, kind: int, request: Request, answer: Answer, seconds: float) -> None:
        log, status = self._scorer.log, answer.status
        if log is None or request.id == identity.SMOKE_TEST:
            return
        # What is fed back reaches a shadow as well.
        if kind == spool.FEEDBACK and (status != 200 or is_shadow(request.headers)):
            return
        told = answer.body if status != 200 else b"" if request.scores is None else request.scores
        log.add(kind, request.id, status, seconds, request.body, told, request.headers)

    async def _send(self, answer: Answer, request_id: str, receive: Receive, send: Send) -> None:
        headers = [
            *answer.headers,
            (b"content-length", str(len(answer.body)).encode()),
            (b"x-sailplane-version", self._version),
            *identity.told(request_id),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if answer.status == 413:
            await send({"type": "http.response.body", "body": answer.body, "more_body": True})
            await hear_out(receive, self._scorer.limits.body)
        await send({"type": "http.response.body", "body": b"" if answer.status == 413 else answer.body})

    def _table(self) -> Mapping[str, Mapping[str, Handler]]:
        manifest, version = self._scorer.bundle.manifest, self._scorer.bundle.version
        predict, infer = {"POST": self._predicts(seldon)}, {"POST": self._predicts(open_inference)}
        metadata = {"GET": _says(seldon.metadata(manifest, version))}
        health = {"GET": _says(seldon.health(manifest, version))}
        ready = {"name": manifest.model, "ready": True}
        described = {"GET": _says(openapi.document(self._scorer.bundle, token=self._authorization is not None))}
        table: dict[str, Mapping[str, Handler]] = {
            "/api/v1.0/predictions": predict,
            "/api/v0.1/predictions": predict,
            "/predict": predict,
            **{path: {"POST": self._fed_back} for path in feedback.PATHS},
            "/metadata": metadata,
            "/api/v1.0/metadata": metadata,
            "/health/ping": {"GET": _pong},
            "/health/status": health,
            "/api/v1.0/health/status": health,
            "/metrics": {"GET": self._counted},
            "/openapi.json": described,
            # As Seldon's own server calls it.
            "/seldon.json": described,
            "/v2": {"GET": _says(open_inference.server())},
            "/v2/health/live": {"GET": _says({"live": True})},
            "/v2/health/ready": {"GET": _says({"ready": True})},
        }
        for prefix in (f"/v2/models/{manifest.model}", f"/v2/models/{manifest.model}/versions/{version}"):
            table[prefix] = {"GET": _says(open_inference.metadata(manifest, version))}
            table[f"{prefix}/ready"] = {"GET": _says(ready)}
            table[f"{prefix}/infer"] = infer
        return table

    def _logged(self) -> Mapping[str, int]:
        """What a request to such a path is, for the log."""
        infer = (path for path in self._routes if path.endswith("/infer"))
        return {
            **dict.fromkeys(seldon.PREDICTIONS, spool.SELDON),
            **dict.fromkeys(infer, spool.OPEN_INFERENCE),
            **dict.fromkeys(feedback.PATHS, spool.FEEDBACK),
        }

    def _predicts(self, protocol: ModuleType) -> Handler:
        scorer, manifest, version = self._scorer, self._scorer.bundle.manifest, self._scorer.bundle.version

        def parsed(request: Request) -> tuple[Any, Values]:
            message = protocol.message(request.body, request.headers)
            request.id = protocol.identity(message) or identity.of(request.headers)
            return message, scorer.read(protocol.columns(message, manifest.inputs))

        async def predict(request: Request) -> Answer:
            message, values = await scorer.parsed(lambda: parsed(request), len(request.body))
            request.scores = scores = await scorer.score(values, _seconds(request.headers))
            body, headers = protocol.reply(message, manifest, version, scores, request.id)
            return Answer(200, body, headers or _JSON)

        return predict

    async def _fed_back(self, request: Request) -> Answer:
        model, version = self._scorer.bundle.manifest.model, self._scorer.bundle.version
        given = feedback.read_feedback(request.body, model)
        request.id = given.puid
        # The copy that a shadow gets must not count twice.
        if given.reward is not None and not is_shadow(request.headers):
            self._scorer.metrics.rewarded(given.answered, given.reward)
        return Answer(200, orjson.dumps(feedback.reply(given, model, version)))

    async def _counted(self, _request: Request) -> Answer:
        return Answer(200, self._scorer.metrics.text(), ((b"content-type", metrics.CONTENT_TYPE.encode()),))


def _seconds(headers: Mapping[bytes, bytes]) -> float | None:
    patience = headers.get(_PATIENCE, b"")
    return int(patience) / 1000 if patience.isdigit() and len(patience) < 10 else None


def _says(result: object) -> Handler:
    answer = Answer(200, orjson.dumps(result))

    async def say(_request: Request) -> Answer:
        return answer

    return say


async def _pong(_request: Request) -> Answer:
    return Answer(200, b"pong", ((b"content-type", b"text/plain; charset=utf-8"),))


def _protocol(path: str) -> str:
    if path.startswith("/v2/models/"):
        return "open_inference"
    return "seldon" if path in seldon.PREDICTIONS else "other"


def _failure(status: int, reason: str, *headers: tuple[bytes, bytes]) -> Answer:
    if status == 413:
        headers += ((b"connection", b"close"),)
    return Answer(status, orjson.dumps(seldon.failure(status, reason)), (*_JSON, *headers))
