"""Reads the body of a request, up to its limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from sailplane.errors import RequestError
from sailplane.serving.bodies.content_coding import decoder
from sailplane.serving.turns import Turns

if TYPE_CHECKING:
    from starlette.types import Receive

# The deadline for receiving a body or sending a reply.
TRANSFER_SECONDS: Final = 30.0
# A body whose length has at most this many digits usually arrives in one piece.
_FEW_DIGITS: Final = 5
# Before it refuses a body, the server reads the rest for at most 20 s, and stops after 2 s of silence. If the rest did
# not arrive, it reads for another second after the answer.
_REST_SECONDS: Final = 20.0
_MOMENT: Final = 2.0
_LINGER_SECONDS: Final = 1.0
# A refused body is read up to this multiple of the limit.
_MOST_OF_REFUSED: Final = 4


class ClientGone(Exception):
    pass


class Unread(Exception):
    """The body is refused before all of it has arrived; `error` is the reason."""

    def __init__(self, error: RequestError) -> None:
        super().__init__(str(error))
        self.error = error

    async def drained(self, headers: Mapping[bytes, bytes], receive: Receive, limit: int, turns: Turns) -> bool:
        """Reads the rest before the answer, because a proxy drops a sender that is answered too early. Returns False
        immediately if the sender waits for the answer, is slow, or sends far too much."""
        most, announced = _MOST_OF_REFUSED * limit, headers.get(b"content-length", b"0")
        endless = announced.isdigit() and int(announced) > most
        if endless or b"expect" in headers or self.error.status == 408:
            return False
        return await _drained(receive, most, turns, _REST_SECONDS)


async def read_body(
    headers: Mapping[bytes, bytes], receive: Receive, limit: int, hold: Callable[[int, int], None], turns: Turns
) -> bytes | bytearray:
    """Reads a body, and inflates it if it is compressed. Raises Unread as soon as the announced or received size
    exceeds `limit`, RequestError if the complete body is broken, and ClientGone. Calls `hold(size, of)` before it keeps
    `size` more bytes of a body, `of` bytes in total so far."""
    event = None
    if b"content-encoding" not in headers and len(headers.get(b"content-length", b"")) <= _FEW_DIGITS:
        event = await _next(receive)
        # Nearly every request arrives in one piece.
        if not event.get("more_body", False):
            body: bytes = event.get("body", b"")
            if len(body) <= limit:
                hold(len(body), len(body))
                return body
    reading = _Reading(limit, hold, turns)
    try:
        async with asyncio.timeout(TRANSFER_SECONDS):
            return await reading.all(event, headers, receive)
    except TimeoutError as error:
        got = f"an incomplete body after {TRANSFER_SECONDS:g} s"
        raise Unread(RequestError("read request", status=408, got=got, remedy="Send fewer rows.")) from error
    except RequestError as error:
        if reading.complete:
            raise
        raise Unread(error) from error


class _Reading:
    def __init__(self, limit: int, hold: Callable[[int, int], None], turns: Turns) -> None:
        # Grows in place, so there is never a second copy.
        self._body = bytearray()
        self._limit, self._hold, self._turns, self._room = limit, hold, turns, 0
        self.complete = False

    async def all(
        self, event: MutableMapping[str, Any] | None, headers: Mapping[bytes, bytes], receive: Receive
    ) -> bytearray:
        """Reads the whole body. `event` is the first event, if already received. Reserves room at once for a body that
        announces its length."""
        coding, length = headers.get(b"content-encoding"), headers.get(b"content-length", b"0")
        decode, announced = decoder(coding) if coding else None, int(length) if length.isdigit() else 0
        _check_size(announced, self._limit)
        self._room, came = 0 if decode else announced, 0
        self._hold(self._room, self._room)
        event = event or await _next(receive)
        while True:
            part, self.complete = event.get("body", b""), not event.get("more_body", False)
            came += len(part)
            _check_size(came, self._limit)
            for piece in decode.decoded(part) if decode else (part,):
                self._add(piece)
                if decode:  # let other tasks run
                    await asyncio.sleep(0)
            if self.complete:
                break
            await self._turns()
            event = await _next(receive)
        if decode:
            decode.end()
        return self._body

    def _add(self, piece: bytes) -> None:
        size = len(self._body) + len(piece)
        _check_size(size, self._limit)
        if size > self._room:
            self._hold(size - self._room, size)
            self._room = size
        self._body += piece


async def _next(receive: Receive) -> MutableMapping[str, Any]:
    event = await receive()
    if event["type"] == "http.disconnect":
        raise ClientGone
    return event


async def linger(receive: Receive, most: int, turns: Turns) -> None:
    """Keeps reading for a moment, at most `most` bytes, after the answer to an unread body. Closing a connection while
    the client sends resets it, and the answer may be lost. Raises ClientGone."""
    await _drained(receive, most, turns, _LINGER_SECONDS)


async def _drained(receive: Receive, most: int, turns: Turns, seconds: float) -> bool:
    """Whether the rest of a body arrived within `most` bytes."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    with suppress(TimeoutError):
        async with asyncio.timeout(min(seconds, _MOMENT)) as limit:
            while most > 0:
                event = await _next(receive)
                if not event.get("more_body"):
                    return True
                most -= len(event.get("body", b""))
                await turns()
                limit.reschedule(min(end, loop.time() + _MOMENT))
    return False


def _check_size(size: int, most: int) -> None:
    if size > most:
        limit = f"at most {most} bytes"
        raise RequestError("read request", status=413, got="a larger body", expected=limit, remedy="Send fewer rows.")
