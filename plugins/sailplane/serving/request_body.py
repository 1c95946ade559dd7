"""The body of a request, as far as it is read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sailplane.errors import RequestError
from sailplane.registry.columns import shown

if TYPE_CHECKING:
    from starlette.types import Receive

# How long one is listened to who sends more than is read.
_LINGER_SECONDS: Final = 1.0


class ClientGone(Exception):
    pass


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes:
    """Raises RequestError as soon as it says that it is more than `limit` bytes, or is; and ClientGone."""
    coding = headers.get(b"content-encoding", b"identity")
    if coding.lower() != b"identity":
        got = shown(coding.decode("latin-1"))
        raise RequestError("read Content-Encoding", status=415, got=got, remedy="Send the body as it is.")
    length = headers.get(b"content-length", b"0")
    _check_size(int(length) if length.isdigit() else 0, limit)
    parts, size, more = [], 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        parts.append(event.get("body", b""))
        size += len(parts[-1])
        _check_size(size, limit)
        more = event.get("more_body", False)
    return b"".join(parts)


async def hear_out(receive: Receive, most: int) -> None:
    """Reads on for a moment, `most` bytes, of one who was answered before all was sent: closed while somebody still
    sends, a connection is reset, and the answer may be lost."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while most > 0:
                event = await receive()
                most -= len(event.get("body", b""))
                if not event.get("more_body"):
                    return


def _check_size(size: int, most: int) -> None:
    if size > most:
        limit = f"at most {most} bytes"
        raise RequestError("read request", status=413, got="a larger body", expected=limit, remedy="Send fewer rows.")
