"""The model server as an ASGI application: access, bodies, statuses and the log. `routes` has the handlers."""

from __future__ import annotations

import hmac
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from sailplane.bundles.columns import shown
from sailplane.errors import ModelError, RequestError
from sailplane.serving import feedback, request_id, spool
from sailplane.serving.answers import Answer, Request, failure, refusal, send_answer
from sailplane.serving.bodies.request import ClientGone, Unread, linger, read_body
from sailplane.serving.guard import HEALTH
from sailplane.serving.in_flight import LONG_BODY
from sailplane.serving.request_log import is_shadow
from sailplane.serving.routes import Routes
from sailplane.serving.scorer import Scorer
from sailplane.serving.turns import Turns

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_log = logging.getLogger(__name__)


class ModelServer:
    """Serves one version. Every answer is valid JSON, except the ping, the metrics and tensors requested as bytes. It
    carries `x-sailplane-version`; a prediction also carries its id as `seldon-puid`. With a `token`, all paths except
    the health checks require it (RFC 6750)."""

    def __init__(self, scorer: Scorer, token: str | None = None) -> None:
        self._scorer = scorer
        self._authorization = None if token is None else f"Bearer {token}".encode()
        self._version = scorer.bundle.version.encode()
        self._turns = Turns()
        self._routes = Routes(scorer, token=token is not None)

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
        kind = self._routes.log_kinds.get(scope["path"]) if scope["method"] == "POST" else None
        if kind is not None:
            request.id = request.id or request_id.from_headers(request.headers)
        seconds = time.perf_counter() - start
        if len(answer.body) > LONG_BODY:
            self._hold(request, len(answer.body))
        extra = ((b"x-sailplane-version", self._version), *request_id.header(request.id))
        try:
            await send_answer(answer, extra, send, lambda: linger(receive, self._scorer.limits.body, self._turns))
        finally:  # a client may disconnect before it has read the answer
            self._scorer.metrics.answered(Routes.protocol(scope["path"]), answer.status, seconds, request.headers)
            if kind is not None:
                self._record(kind, request, answer, seconds)

    async def _answer(self, scope: Scope, receive: Receive, request: Request) -> Answer:
        path, headers = scope["path"], request.headers
        methods = self._routes.methods.get(path)
        if methods is None:
            expected = ", ".join(self._routes.methods)
            raise RequestError("find", shown(path), status=404, got="no such path", expected=expected)
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
        return await self._read(path, receive, request) or await handler(request)

    async def _read(self, path: str, receive: Receive, request: Request) -> Answer | None:
        """Reads the body into the request. Returns the refusal of a body that is not read to its end, else None."""
        headers = request.headers
        limit = feedback.MOST_BYTES if path in feedback.PATHS else self._scorer.limits.body
        try:
            request.body = await read_body(
                headers, receive, limit, lambda size, of: self._take(request, size, of), self._turns
            )
        except Unread as unread:
            self._scorer.in_flight.release(request.held)
            request.held, refused = 0, refusal(unread.error)
            if await unread.drained(headers, receive, limit, self._turns):
                return refused
            return replace(refused, headers=(*refused.headers, (b"connection", b"close")), unread=True)
        return None

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
