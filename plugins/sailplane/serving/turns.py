"""Gives waiting tasks one turn of the event loop each.

A turn in which forty connections send 256 KB each takes 30 ms, and libuv accepts one connection per turn. A client that
connects behind forty senders of large bodies would wait for more than a second."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Waiting tasks get their turns in order of arrival."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._given = False

    async def __call__(self) -> None:
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if not self._given:
            self._given = True
            loop.call_soon(self._next, loop)
        await turn

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting and self._waiting[0].done():  # cancelled
            self._waiting.popleft()
        self._given = bool(self._waiting)
        if self._waiting:
            self._waiting.popleft().set_result(None)
            loop.call_soon(self._next, loop)
