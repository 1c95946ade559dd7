"""Connections over a socket with a small buffer, and a deadline that passes on request."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from sailplane.serving.connection import TRANSFER_SECONDS, Connection

PIECE = 256 * 2**10
# More bytes than the two sockets hold, so that writing pauses.
LARGE = 64 * PIECE
HEAD = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
# A limit for things that happen at once, unless the test fails.
PATIENCE = 60


@dataclass
class Deadline:
    work: Callable[[], object]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """The running event loop, in which a reply's deadline passes only by `pass_deadlines`."""

    def __init__(self) -> None:
        self._loop, self.deadlines, self.paused = asyncio.get_running_loop(), list[Deadline](), asyncio.Event()

    def call_later(self, seconds: float, work: Callable[[], object]) -> Any:
        if seconds != TRANSFER_SECONDS:
            return self._loop.call_later(seconds, work)
        self.deadlines.append(Deadline(work))
        self.paused.set()
        return self.deadlines[-1]

    def pass_deadlines(self) -> None:
        for one in self.deadlines:
            if not one.cancelled:
                one.work()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class Watched(Connection):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()


@dataclass
class Served:
    """A server. `asked` is set by a request for `/slow`, which is answered after `go`."""

    client: socket.socket
    loop: Loop = field(default_factory=Loop)
    state: ServerState = field(default_factory=ServerState)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, scope: Any, _receive: Any, send: Any) -> None:
        """Answers `/SIZE` with this many bytes, in pieces."""
        size = 2 if scope["path"] == "/slow" else int(scope["path"][1:])
        if scope["path"] == "/slow":
            self.asked.set()
            await self.go.wait()
        headers = [(b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for start in range(0, size, PIECE):
            more = start + PIECE < size
            await send({"type": "http.response.body", "body": b"x" * min(PIECE, size - start), "more_body": more})
            await asyncio.sleep(0)

    @property
    def connection(self) -> Watched:
        [connection] = self.state.connections
        assert isinstance(connection, Watched)
        return connection

    async def ask(self, path: str) -> None:
        await self.loop.sock_sendall(self.client, HEAD % path.encode())

    async def ask_behind(self, path: str) -> None:
        """Waits until the request is queued behind the one that is being answered."""
        await self.ask(path)
        while not self.connection.pipeline:
            await asyncio.sleep(0)

    async def take(self, body: int) -> int:
        """Reads a reply until this many bytes of its body arrive or the connection ends. Returns the number of
        bytes."""
        came = b""
        while b"\r\n\r\n" not in came:
            if not (piece := await self.loop.sock_recv(self.client, 1024)):
                return 0
            came += piece
        return await self.take_more(len(came.partition(b"\r\n\r\n")[2]), body)

    async def take_more(self, size: int, body: int) -> int:
        while size < body and (piece := await self.loop.sock_recv(self.client, min(2**20, body - size))):
            size += len(piece)
        return size


@asynccontextmanager
async def opened() -> AsyncIterator[Served]:
    with socket.socket() as client:
        served = Served(client)
        config = uvicorn.Config(
            served.answer, interface="asgi3", lifespan="off", ws="none", log_config=None, access_log=False
        )
        config.load()
        server = await asyncio.get_running_loop().create_server(
            lambda: Watched(config, served.state, {}, _loop=served.loop), "127.0.0.1", 0
        )
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.setblocking(False)
        await served.loop.sock_connect(client, server.sockets[0].getsockname())
        try:
            yield served
        finally:
            server.close()


def run(work: Callable[[Served], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        async with asyncio.timeout(PATIENCE), opened() as served:
            await work(served)

    asyncio.run(all_of_it())


@pytest.mark.parametrize("last", [PIECE, 100])
def test_the_time_of_a_reply_that_was_taken_ends_no_later_request(last: int) -> None:
    """This holds whether its last piece fits into the buffer or pauses the connection once more."""

    async def work(served: Served) -> None:
        await served.ask(f"/{LARGE + last}")
        await served.loop.paused.wait()
        assert await served.take(LARGE + last) == LARGE + last
        await served.ask("/slow")
        await served.asked.wait()
        served.loop.pass_deadlines()
        served.go.set()
        assert await served.take(2) == 2

    run(work)


def test_a_request_that_comes_before_the_reply_is_taken_has_its_own_time() -> None:
    async def work(served: Served) -> None:
        await served.ask(f"/{LARGE}")
        await served.loop.paused.wait()
        await served.ask_behind("/slow")
        assert await served.take(LARGE) == LARGE
        await served.asked.wait()
        served.loop.pass_deadlines()
        served.go.set()
        assert await served.take(2) == 2

    run(work)


def test_a_reply_that_is_not_taken_in_time_ends_the_connection() -> None:
    """The whole reply has one deadline, even if a part was taken."""

    async def work(served: Served) -> None:
        await served.ask(f"/{LARGE}")
        await served.loop.paused.wait()
        connection = served.connection
        taken = await served.take(LARGE // 2)
        assert [one.cancelled for one in served.loop.deadlines] == [False]
        served.loop.pass_deadlines()
        await connection.lost.wait()
        assert await served.take_more(taken, LARGE) < LARGE

    run(work)


def test_a_client_that_leaves_with_requests_behind_the_one_that_is_answered_is_no_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(served: Served) -> None:
        await served.ask(f"/{LARGE}")
        await served.loop.paused.wait()
        await served.ask_behind("/2")
        connection, tasks = served.connection, set(served.state.tasks)
        # The reset tells the server, although it does not read.
        served.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        served.client.close()
        await connection.lost.wait()
        await asyncio.wait(tasks)
        assert not connection.pipeline
        assert not served.state.tasks

    with caplog.at_level(logging.ERROR):
        run(work)
    assert caplog.records == []
