"""HTTP requests and answers of the model server, and how an answer is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from sailplane.errors import OverloadError, RequestError
from sailplane.serving.bodies.content_coding import ACCEPTED
from sailplane.serving.seldon import messages as seldon
from sailplane.serving.violations import Violations

if TYPE_CHECKING:
    import numpy as np
    from starlette.types import Send

JSON: Final = ((b"content-type", b"application/json"),)
_SENT_AT_ONCE: Final = 256 * 2**10


@dataclass(slots=True)
class Request:
    """A request. `id` joins feedback and labels to it. `scores` are the model's, for the request log. `held` is the
    number of its bytes that count as in flight."""

    headers: Mapping[bytes, bytes]
    body: bytes | bytearray = b""
    id: str = ""
    scores: np.ndarray | None = None
    held: int = 0
    violations: Violations = field(default_factory=Violations)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. `unread` means that it is sent before the whole request body has arrived."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = JSON
    unread: bool = False


def refusal(error: RequestError) -> Answer:
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if isinstance(error, OverloadError):
        headers = ((b"retry-after", str(error.retry_after).encode()),)
    if error.status == 415:
        headers = ((b"accept-encoding", ACCEPTED.encode()),)
    return failure(error.status, str(error), *headers)


def failure(status: int, reason: str, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(status, orjson.dumps(seldon.failure(status, reason)), (*JSON, *headers))


async def send_answer(
    answer: Answer, more: tuple[tuple[bytes, bytes], ...], send: Send, linger: Callable[[], Awaitable[object]]
) -> None:
    """Sends the answer with `more` headers. Calls `linger` to keep reading if the body is unread."""
    headers = [*answer.headers, (b"content-length", str(len(answer.body)).encode()), *more]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.unread:
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        await linger()
        await send({"type": "http.response.body"})
    elif len(answer.body) <= _SENT_AT_ONCE:
        await send({"type": "http.response.body", "body": answer.body})
    else:
        await _send_paced(answer.body, send)


async def _send_paced(body: bytes, send: Send) -> None:
    """Sends no faster than the client reads, because unsent bytes stay in memory."""
    text = memoryview(body)
    for start in range(0, len(text), _SENT_AT_ONCE):
        piece, more = bytes(text[start : start + _SENT_AT_ONCE]), start + _SENT_AT_ONCE < len(text)
        await send({"type": "http.response.body", "body": piece, "more_body": more})
        # The connection writes on the next turn of the loop. Only then does it know whether the client keeps up.
        await asyncio.sleep(0)
