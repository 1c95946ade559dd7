"""`paced.py URL BODY RATE SECONDS` sends the file BODY RATE times a second, without waiting for earlier answers, for
SECONDS or until SIGTERM.

It prints a line for each request: its start (seconds since 1970), its duration, the status or 0, and the version that
answered or the reason. A request that finds no free connection opens one."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

PATIENCE = 30.0


class Connection(asyncio.Protocol):
    """A connection with one request at a time."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[tuple[int, str]] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, str]]:
        self.parser, self.version, self.body = httptools.HttpResponseParser(self), "the router", b""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.answer

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-sailplane-version":
            self.version = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        status = self.parser.get_status_code()
        self._end(status, self.version if status == 200 else f"{self.version}: {self.body!r}")

    def connection_lost(self, reason: Exception | None) -> None:
        self._end(0, f"connection lost: {reason or 'closed'}")

    def _end(self, status: int, said: str) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result((status, said))


class Client:
    def __init__(self, url: str, body: bytes) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        head = f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
        self.request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        self.free: list[Connection] = []

    async def ask(self, began: float) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                status, said = await self._asked()
        except (OSError, TimeoutError) as error:
            status, said = 0, f"{type(error).__name__}: {error}"
        print(f"{began:.6f} {time.time() - began:.6f} {status} {said}")

    async def _asked(self) -> tuple[int, str]:
        connection = self._connected() or await self._connect()
        status, said = await connection.ask(self.request)
        if status:
            self.free.append(connection)
        return status, said

    def _connected(self) -> Connection | None:
        while self.free:
            connection = self.free.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        transport, connection = await loop.create_connection(Connection, self.host, self.port)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


async def main(url: str, body: str, rate: str, seconds: str) -> None:
    client, began = Client(url, Path(body).read_bytes()), time.time()
    asked, over = set(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    for number in range(int(float(rate) * float(seconds))):
        await asyncio.sleep(max(0, began + number / float(rate) - time.time()))
        if over.is_set():
            break
        # Measured from the send, not from the due time, because the loop's clock has steps of a millisecond. No request
        # waits for another one.
        task = asyncio.ensure_future(client.ask(time.time()))
        asked.add(task)
        task.add_done_callback(asked.discard)
    await asyncio.gather(*asked)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
