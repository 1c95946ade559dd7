"""Connections over a socket, with a buffer that is soon full."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from sailplane.serving import connection
from sailplane.serving.connection import Connection

SECONDS = 0.4
PIECE = 256 * 2**10
# More than the two sockets hold, so that writing pauses.
LARGE = 64 * PIECE
HEAD = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def answer(scope: Any, _receive: Any, send: Any) -> None:
    """`/SIZE` is answered with so many bytes, in pieces; `/slow` takes twice the time in which a reply is taken."""
    size = 2 if scope["path"] == "/slow" else int(scope["path"][1:])
    if scope["path"] == "/slow":
        await asyncio.sleep(2 * SECONDS)
    headers = [(b"content-length", str(size).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for start in range(0, size, PIECE):
        more = start + PIECE < size
        await send({"type": "http.response.body", "body": b"x" * min(PIECE, size - start), "more_body": more})
        await asyncio.sleep(0)


@asynccontextmanager
async def opened() -> AsyncIterator[socket.socket]:
    config = uvicorn.Config(answer, lifespan="off", ws="none", log_config=None, access_log=False)
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(config, ServerState(), {}), "127.0.0.1", 0)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.setblocking(False)
        await loop.sock_connect(client, server.sockets[0].getsockname())
        yield client
    server.close()
    await asyncio.sleep(0)


async def ask(client: socket.socket, path: str) -> None:
    await asyncio.get_running_loop().sock_sendall(client, HEAD % path.encode())


async def take(client: socket.socket, body: int) -> int:
    """How many bytes of a reply came, until all of its body did or the connection ended."""
    loop, came = asyncio.get_running_loop(), b""
    while b"\r\n\r\n" not in came:
        if not (piece := await loop.sock_recv(client, 1024)):
            return 0
        came += piece
    size = len(came.partition(b"\r\n\r\n")[2])
    while size < body and (piece := await loop.sock_recv(client, min(2**20, body - size))):
        size += len(piece)
    return size


def run(work: Callable[[socket.socket], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        async with opened() as client:
            await work(client)

    asyncio.run(all_of_it())


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "TRANSFER_SECONDS", SECONDS)


@pytest.mark.parametrize("last", [PIECE, 100])
def test_the_time_of_a_reply_that_was_taken_ends_no_later_request(last: int) -> None:
    """Whether its last piece fits into the buffer, or pauses the connection once more."""

    async def work(client: socket.socket) -> None:
        await ask(client, f"/{LARGE + last}")
        await asyncio.sleep(SECONDS / 8)
        assert await take(client, LARGE + last) == LARGE + last
        await ask(client, "/slow")
        assert await take(client, 2) == 2

    run(work)


def test_a_request_that_comes_before_the_reply_is_taken_has_its_own_time() -> None:
    async def work(client: socket.socket) -> None:
        await ask(client, f"/{LARGE}")
        await asyncio.sleep(SECONDS / 8)
        await ask(client, "/slow")
        assert await take(client, LARGE) == LARGE
        assert await take(client, 2) == 2

    run(work)


def test_a_reply_that_is_not_taken_in_time_ends_the_connection() -> None:
    async def work(client: socket.socket) -> None:
        await ask(client, f"/{LARGE}")
        await asyncio.sleep(2 * SECONDS)
        assert await take(client, LARGE) < LARGE

    run(work)


def test_a_client_that_leaves_with_requests_behind_the_one_that_is_answered_is_no_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(client: socket.socket) -> None:
        await ask(client, f"/{LARGE}")
        await ask(client, "/2")
        await asyncio.get_running_loop().sock_recv(client, 1)
        await asyncio.sleep(0.05)
        # It is reset, so that the server learns of it though it does not read.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        await asyncio.sleep(0.05)

    with caplog.at_level(logging.ERROR):
        run(work)
    assert caplog.records == []
