"""The model server as an ASGI application: routes, bodies, statuses. The protocol modules interpret messages."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import orjson

from sailplane.bundles.columns import shown
from sailplane.errors import ModelError, RequestError
from sailplane.records import Field
from sailplane.serving import feedback, metrics, openapi, request_id, spool
from sailplane.serving.answers import JSON, Answer, Request, failure, refusal, send_answer
from sailplane.serving.bodies.form import is_form, message_of_form
from sailplane.serving.bodies.json_pieces import Buffer
from sailplane.serving.bodies.request import ClientGone, Unread, linger, read_body
from sailplane.serving.guard import HEALTH
from sailplane.serving.in_flight import LONG_BODY
from sailplane.serving.long_requests import RowsPart
from sailplane.serving.open_inference import messages as open_inference
from sailplane.serving.open_inference import parts as open_inference_parts
from sailplane.serving.request_log import is_shadow
from sailplane.serving.scorer import Scorer
from sailplane.serving.seldon import messages as seldon
from sailplane.serving.seldon import parts as seldon_parts
from sailplane.serving.turns import Turns

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

# Envoy sends the caller's timeout in this header.
_PATIENCE: Final = b"x-envoy-expected-rq-timeout-ms"

_log = logging.getLogger(__name__)


Handler = Callable[[Request], Awaitable[Answer]]
# Takes a long body, its headers, the model's inputs and the rows per part. Returns the message and its parts.
Split = Callable[[Buffer, Mapping[bytes, bytes], Sequence[Field], int], tuple[Mapping[str, Any], Iterator[RowsPart]]]


class ModelServer:
    """Serves one version. Every answer is valid JSON, except the ping, the metrics and tensors requested as bytes. It
    carries `x-sailplane-version`; a prediction also carries its id as `seldon-puid`. With a `token`, all paths except
    the health checks require it (RFC 6750)."""

    def __init__(self, scorer: Scorer, token: str | None = None) -> None:
        self._scorer = scorer
        self._authorization = None if token is None else f"Bearer {token}".encode()
        self._version = scorer.bundle.version.encode()
        self._turns = Turns()
        self._routes = self._table()
        self._kinds = self._logged()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(dict(scope["headers"]))
        try:
            await self._serve(scope, receive, send, request)
        except ClientGone:
            pass
        finally:
            self._scorer.in_flight.release(request.held)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, request: Request) -> None:
        start = time.perf_counter()
        try:
            answer = await self._answer(scope, receive, request)
        except RequestError as error:
            answer = refusal(error)
        except ModelError as error:
            answer = failure(422, str(error))
        except ClientGone:
            raise
        except Exception:
            _log.exception("%s %s", scope["method"], scope["path"])
            answer = failure(500, "The model failed on this request. The reason is in the model server's log.")
        kind = self._kinds.get(scope["path"]) if scope["method"] == "POST" else None
        if kind is not None:
            request.id = request.id or request_id.of(request.headers)
        seconds = time.perf_counter() - start
        if len(answer.body) > LONG_BODY:
            self._hold(request, len(answer.body))
        extra = ((b"x-sailplane-version", self._version), *request_id.told(request.id))
        try:
            await send_answer(answer, extra, send, lambda: linger(receive, self._scorer.limits.body, self._turns))
        finally:  # a client may disconnect before it has read the answer
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
            return failure(405, f"{path} takes {allowed}, not {scope['method']}.", (b"allow", allowed.encode()))
        if self._authorization and path not in HEALTH:
            given = headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, self._authorization):
                return failure(
                    401, "This server requires `Authorization: Bearer TOKEN`.", (b"www-authenticate", b"Bearer")
                )
        limit = feedback.MOST_BYTES if path in feedback.PATHS else self._scorer.limits.body
        try:
            request.body = await read_body(
                headers, receive, limit, lambda size, of: self._take(request, size, of), self._turns
            )
        except Unread as unread:
            self._scorer.in_flight.release(request.held)
            request.held, refused = 0, refusal(unread.error)
            if await unread.rest_heard(headers, receive, limit, self._turns):
                return refused
            return replace(refused, headers=(*refused.headers, (b"connection", b"close")), unread=True)
        return await handler(request)

    def _take(self, request: Request, size: int, of: int) -> None:
        self._scorer.in_flight.hold(size, of=of)
        request.held += size

    def _hold(self, request: Request, size: int) -> None:
        """Counts a reply as held, even over the limit."""
        self._scorer.in_flight.add(size)
        request.held += size

    def _record(self, kind: int, request: Request, answer: Answer, seconds: float) -> None:
        log, status = self._scorer.log, answer.status
        if log is None or request.id == request_id.SMOKE_TEST:
            return
        # Feedback is also copied to a shadow.
        if kind == spool.FEEDBACK and (status != 200 or is_shadow(request.headers)):
            return
        content = answer.body if status != 200 else b"" if request.scores is None else request.scores
        log.add(kind, request.id, status, seconds, request.body, content, request.headers)

    def _table(self) -> Mapping[str, Mapping[str, Handler]]:
        manifest, version = self._scorer.bundle.manifest, self._scorer.bundle.version
        predict = {"POST": self._predicts(seldon, seldon_parts.split)}
        infer = {"POST": self._predicts(open_inference, open_inference_parts.split)}
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
            # The name that Seldon's own server uses.
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
        """The kind of log entry for each path."""
        infer = (path for path in self._routes if path.endswith("/infer"))
        return {
            **dict.fromkeys(seldon.PREDICTIONS, spool.SELDON),
            **dict.fromkeys(infer, spool.OPEN_INFERENCE),
            **dict.fromkeys(feedback.PATHS, spool.FEEDBACK),
        }

    def _predicts(self, protocol: ModuleType, split: Split) -> Handler:
        scorer, manifest, version = self._scorer, self._scorer.bundle.manifest, self._scorer.bundle.version
        # Only Seldon's protocol has forms.
        unformed = _unformed if protocol is seldon else _as_it_is

        async def predict(request: Request) -> Answer:
            if len(request.body) > LONG_BODY:
                return await predict_long(request)
            request.body = unformed(request.body, request.headers)
            message = protocol.message(request.body, request.headers)
            request.id = protocol.identity(message) or request_id.of(request.headers)
            values = scorer.read(protocol.columns(message, manifest.inputs), request.violations)
            request.scores = scores = await scorer.score(values, _seconds(request.headers))
            body, headers = protocol.reply(message, manifest, version, scores, request.id, request.violations)
            return Answer(200, body, headers or JSON)

        async def predict_long(request: Request) -> Answer:
            given = request.headers
            async with scorer.long.turn(scorer.patience(_seconds(given))) as work:
                request.body = text = await work.aside(lambda: unformed(request.body, given))
                message, parts = await work.aside(lambda: split(text, given, manifest.inputs, scorer.most_rows))
                request.id = protocol.identity(message) or request_id.of(given)
                request.scores = scores = await work.scores(parts)
                body, headers = await work.aside(
                    lambda: protocol.reply(message, manifest, version, scores, request.id, work.violations, work.check)
                )
            return Answer(200, body, headers or JSON)

        return predict

    async def _fed_back(self, request: Request) -> Answer:
        model, version = self._scorer.bundle.manifest.model, self._scorer.bundle.version

        def read() -> feedback.Feedback:
            request.body = _unformed(request.body, request.headers)
            return feedback.read_feedback(request.body, model)

        if len(request.body) <= LONG_BODY:
            given = read()
        else:
            async with self._scorer.long.turn(self._scorer.patience(_seconds(request.headers))) as work:
                given = await work.aside(read)
        request.id = given.puid
        # The copy sent to a shadow must not count twice.
        if given.reward is not None and not is_shadow(request.headers):
            self._scorer.metrics.rewarded(given.answered, given.reward)
        return Answer(200, orjson.dumps(feedback.reply(given, model, version)))

    async def _counted(self, _request: Request) -> Answer:
        return Answer(200, self._scorer.metrics.text(), ((b"content-type", metrics.CONTENT_TYPE.encode()),))


def _unformed(body: bytes | bytearray, headers: Mapping[bytes, bytes]) -> bytes | bytearray:
    return message_of_form(headers, body) if is_form(headers, body) else body


def _as_it_is(body: bytes | bytearray, _headers: Mapping[bytes, bytes]) -> bytes | bytearray:
    return body


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
