"""The model server over gRPC: its services, access control, read limits and logging.

Each method is declared as a stream of messages; on the wire that equals a single message. So a call starts before its
message is read, and can wait for memory."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import grpc

from sailplane.errors import ModelError, OverloadError, RequestError
from sailplane.serving import request_id, spool
from sailplane.serving.bodies.request import TRANSFER_SECONDS
from sailplane.serving.in_flight import LONG_BODY
from sailplane.serving.request_log import is_shadow
from sailplane.serving.scorer import Scorer

if TYPE_CHECKING:
    import numpy as np

# Messages read at the same time. A message's length may be unknown until all of it has arrived.
_READ_AT_ONCE: Final = 8
# A message that takes longer is dropped if another message waits.
_SLOW_SECONDS: Final = 3.0
# gRPC statuses by the equivalent HTTP status.
_STATUSES: Final = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.FAILED_PRECONDITION,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_FAILED: Final = "The model failed on this request. The reason is in the model server's log."

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Call:
    """A call. `headers` has the metadata. `id`, `body` and `logged` go to the request log; the entry's kind says how to
    read them."""

    headers: Mapping[bytes, bytes]
    seconds: float | None
    id: str = ""
    body: bytes = b""
    logged: bytes | np.ndarray = b""
    held: int = 0


@dataclass(frozen=True)
class Method:
    """A method. `answer` turns the message into the reply, `protocol` is its name in the metrics, and `log_kind` is the
    kind of its log entries, None if it is not logged. A `public` method needs no token."""

    answer: Callable[[bytes, Call], Awaitable[bytes]]
    protocol: str = "other"
    log_kind: int | None = None
    public: bool = False


@dataclass
class _Reading:
    """Limits how many messages are read at a time. When slow messages hold all slots, the oldest is dropped."""

    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_READ_AT_ONCE))
    _limits: dict[asyncio.Timeout, float] = field(default_factory=dict)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """A slot for reading one message. Raises RequestError (408) if the message does not arrive in time."""
        await self._take()
        try:
            async with asyncio.timeout(TRANSFER_SECONDS) as limit:
                self._limits[limit] = time.monotonic()
                yield
        except TimeoutError as error:
            got = "the message did not arrive in time"
            raise RequestError("read request", status=408, got=got, remedy="Send it again, or fewer rows.") from error
        finally:
            self._limits.pop(limit, None)
            self._slots.release()

    async def _take(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_SLOW_SECONDS if self._slots.locked() else None):
                    await self._slots.acquire()
                return
            except TimeoutError:
                oldest = min(self._limits, key=self._limits.__getitem__, default=None)
                if oldest is not None and time.monotonic() - self._limits[oldest] > _SLOW_SECONDS:
                    self._limits.pop(oldest)
                    oldest.reschedule(asyncio.get_running_loop().time())


def server(scorer: Scorer, services: Mapping[str, Mapping[str, Method]], token: str | None = None) -> grpc.aio.Server:
    """Returns a server that is not started and has no port. `services` has the methods by name. With a `token`, all
    methods except the public ones require it in the metadata `authorization`."""
    size = scorer.limits.body
    rpc = grpc.aio.server(
        options=[
            # The limit applies to the inflated message; inflation stops there.
            ("grpc.max_receive_message_length", size),
            ("grpc.max_send_message_length", 2 * size),
            ("grpc.so_reuseport", 0),
            # Without this the window of unread bytes grows to megabytes per call.
            ("grpc.http2.bdp_probe", 0),
        ]
    )
    calls = _Calls(scorer, token)
    for service, methods in services.items():
        handlers = {
            name: grpc.stream_unary_rpc_method_handler(calls.handler(f"{service}/{name}", method))
            for name, method in methods.items()
        }
        rpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    return rpc


class _Calls:
    def __init__(self, scorer: Scorer, token: str | None) -> None:
        self._scorer, self._reading = scorer, _Reading()
        self._authorization = None if token is None else f"Bearer {token}".encode()

    def handler(self, name: str, method: Method) -> Callable[[Any, Any], Awaitable[bytes]]:
        async def handle(_messages: Any, context: Any) -> bytes:
            call, reply = Call(_metadata(context), context.time_remaining()), b""
            try:
                reply = await self._handle(name, method, call, context)
            finally:
                if len(reply) <= LONG_BODY:
                    self._scorer.in_flight.release(call.held)
            if len(reply) > LONG_BODY:
                self._release_when_sent(call, len(reply))
            return reply

        return handle

    async def _handle(self, name: str, method: Method, call: Call, context: Any) -> bytes:
        start, trailers = time.perf_counter(), list[tuple[str, str]]()
        status, reason, reply = 200, "", b""
        try:
            self._check_token(name, method, call)
            call.body = await self._message(call, context)
            reply = await method.answer(call.body, call)
        except RequestError as error:
            status, reason = error.status, str(error)
            if isinstance(error, OverloadError):
                trailers.append(("retry-after", str(error.retry_after)))
        except ModelError as error:
            status, reason = 422, str(error)
        except Exception:
            _log.exception("%s", name)
            status, reason = 500, _FAILED
        seconds = time.perf_counter() - start
        self._scorer.metrics.answered(method.protocol, status, seconds, call.headers)
        if method.log_kind is not None:
            call.id = call.id or request_id.from_headers(call.headers)
            trailers += [(key.decode(), value.decode()) for key, value in request_id.header(call.id)]
            self._record(method.log_kind, call, status, seconds, reason)
        context.set_trailing_metadata(trailers)
        if status != 200:
            await _end(context, _STATUSES.get(status, grpc.StatusCode.INVALID_ARGUMENT), reason)
        return reply

    def _release_when_sent(self, call: Call, size: int) -> None:
        """The task lasts until the client has read the reply. It is cancelled if the client is too slow."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._scorer.in_flight.add(size)
        late = asyncio.get_running_loop().call_later(TRANSFER_SECONDS, task.cancel)

        def ended(_task: object) -> None:
            late.cancel()
            self._scorer.in_flight.release(call.held + size)

        task.add_done_callback(ended)

    async def _message(self, call: Call, context: Any) -> bytes:
        body = None
        try:
            async with self._reading.slot():
                body = await context.read()
        finally:
            if body is None:
                self._scorer.in_flight.discarded()
        if body is grpc.aio.EOF:
            raise RequestError("read request", got="no message", expected="one message")
        self._scorer.in_flight.hold(len(body), of=len(body))
        call.held = len(body)
        return bytes(body)

    def _check_token(self, name: str, method: Method, call: Call) -> None:
        if self._authorization is None or method.public:
            return
        if not hmac.compare_digest(call.headers.get(b"authorization", b""), self._authorization):
            raise RequestError(
                "call", name, status=401, got="no token", expected="the metadata authorization: Bearer TOKEN"
            )

    def _record(self, kind: int, call: Call, status: int, seconds: float, reason: str) -> None:
        if kind == spool.FEEDBACK and (status != 200 or is_shadow(call.headers)):
            return
        if self._scorer.log:
            content = call.logged if status == 200 else reason.encode()
            self._scorer.log.add(kind, call.id, status, seconds, call.body, content, call.headers)


async def _end(context: Any, status: grpc.StatusCode, reason: str) -> None:
    """Ends the call with this status unless grpc has already ended it, as it does for a message that is too long."""
    try:
        await context.abort(status, reason)
    except grpc.aio.InternalError as error:
        raise asyncio.CancelledError from error


def _metadata(context: Any) -> dict[bytes, bytes]:
    given = context.invocation_metadata() or ()
    return {name.encode(): value.encode() for name, value in given if isinstance(value, str)}
