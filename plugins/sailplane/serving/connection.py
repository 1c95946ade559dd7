"""A connection of the model server: uvicorn's HTTP/1.1 with JSON errors and deadlines."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sailplane.serving.bodies.json import written
from sailplane.serving.bodies.request import TRANSFER_SECONDS
from sailplane.serving.seldon import messages as seldon
from sailplane.serving.write_coalescing import OneWrite

MOST_HEAD_BYTES: Final = 64 * 2**10
MOST_SILENT_SECONDS: Final = 10.0
_OF_AN_UPGRADE: Final = (b"connection", b"upgrade", b"http2-settings")


class Connection(HttpToolsProtocol):
    _head: Any = None
    _head_bytes = 0
    _upgrade = False
    _silence: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    # The request being answered. If more are queued, `cycle` is the last of them.
    _task: asyncio.Task[None] | None = None
    _answering: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(OneWrite(transport, self.loop))  # type: ignore[arg-type]
        self._wait_for_a_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_silence()
        self._forget_unread()
        super().connection_lost(exc)
        # The client no longer waits for the answer. Requests queued on this connection never start.
        self.pipeline.clear()
        if self._task is not None:
            self._answering.disconnected = True
            self._task.cancel()

    def pause_writing(self) -> None:
        """Sets a deadline for a client that reads too slowly or not at all."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(TRANSFER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        cycle = self._answering
        # One deadline for all pieces of a reply.
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self._forget_unread()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # The last piece is written after this. If the client does not read it, a new deadline starts.
        if not self.flow.write_paused:
            self._forget_unread()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(400, "This is not a valid HTTP request.")
        if self._silence is not None:
            self._forget_silence()
        cycle = self.cycle
        # Most requests arrive whole.
        if cycle is None or cycle.more_body or cycle.scope is not self.scope:
            self._wait_for_the_rest(len(data))
        elif cycle.response_complete:  # before the whole request had arrived
            self._wait_for_a_request()

    def on_headers_complete(self) -> None:
        # CONNECT's target is not a path, so it is refused.
        self._upgrade = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if not self._upgrade:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self._upgrade:
            super().on_message_complete()
            self.cycle.more_body = False
            if not self.pipeline:  # otherwise a disconnect is noticed only after all answers
                self.flow.resume_reading()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        async def cancelled_quietly(scope: Any, receive: Any, send: Any) -> None:
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:
                if not cycle.disconnected:
                    raise

        self._answering = cycle
        self._task = task = self.loop.create_task(cycle.run_asgi(cancelled_quietly))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _feed(self, data: bytes) -> None:
        """Ignores an Upgrade, as RFC 9110 allows. The parser would take the body for the upgraded protocol, so it gets
        the head again without the header. Java's client requests HTTP/2 this way in its first POST."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stopped:
                data = self._head_without_upgrade() + data[stopped.args[0] :]
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        headers = [_line(header) for header in self.headers if header[0] not in _OF_AN_UPGRADE]
        return b"".join([self.parser.get_method(), b" ", self.url, b" HTTP/1.1\r\n", *headers, b"\r\n"])

    def _wait_for_a_request(self) -> None:
        """Sets a deadline; uvicorn would wait forever."""
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _wait_for_the_rest(self, size: int) -> None:
        if self.transport.is_closing():
            return
        # Excludes bytes before the head in the same piece.
        self._head_bytes = self._head_bytes + size if self._head is self.scope else 0
        self._head = self.scope
        if self._in_head() and self._head_bytes > MOST_HEAD_BYTES:
            self._refuse(431, f"The request's head is larger than {MOST_HEAD_BYTES} bytes.")
        else:
            self._silence = self.loop.call_later(MOST_SILENT_SECONDS, self._silent)

    def _silent(self) -> None:
        if self.flow.read_paused:  # by this server
            self._silence = self.loop.call_later(MOST_SILENT_SECONDS, self._silent)
        else:
            self._refuse(408, f"The rest of the request did not arrive within {MOST_SILENT_SECONDS:g} s.")

    def _refuse(self, status: int, reason: str) -> None:
        """Refuses the request and closes the connection. An earlier unanswered request gets its answer first."""
        cycle = self.cycle
        if self._in_head() and cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if self._in_head() or cycle is None or not cycle.response_started:
            self.transport.write(self._refusal(status, reason))
        self.transport.close()

    def _refusal(self, status: int, reason: str) -> bytes:
        body = written(seldon.failure(status, reason))
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        status_line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
        return b"".join([status_line, *map(_line, headers), b"\r\n", body])

    def _in_head(self) -> bool:
        """Whether only part of the head has arrived."""
        return self.scope is not None and (self.cycle is None or self.cycle.scope is not self.scope)

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _forget_silence(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None


def _line(header: tuple[bytes, bytes]) -> bytes:
    return b": ".join(header) + b"\r\n"
