"""Passes bodies between the server's event loop and the store's threads, piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from typing import Final, TypeVar

from starlette.requests import Request

from sailplane.errors import RequestError

T = TypeVar("T")
PIECE_BYTES: Final = 2**20
# A silent client does not hold a thread for longer than this.
IDLE_SECONDS: Final = 60


async def body(request: Request, most_bytes: int) -> bytes:
    """The whole of a small body. Raises RequestError for a larger one."""
    gathered = bytearray()
    async for chunk in request.stream():
        gathered += chunk
        if len(gathered) > most_bytes:
            raise RequestError("read request", status=413, got="a larger body", expected=f"at most {most_bytes} bytes")
    return bytes(gathered)


async def taken_in(request: Request, threads: Executor, put: Callable[[Iterator[bytes]], T]) -> T:
    """Runs `put` in a thread with the body's pieces as they arrive; they raise if the client disconnects."""
    loop = asyncio.get_running_loop()
    chunks = aiter(request.stream())

    def pieces() -> Iterator[bytes]:
        while piece := asyncio.run_coroutine_threadsafe(_piece(chunks), loop).result(2 * IDLE_SECONDS):
            yield piece

    return await loop.run_in_executor(threads, put, pieces())


async def given_out(pieces: Iterator[bytes], threads: Executor, skip: int = 0) -> AsyncIterator[bytes]:
    """The pieces, read in a thread, without the first `skip` bytes."""
    loop = asyncio.get_running_loop()
    while piece := await loop.run_in_executor(threads, next, pieces, b""):
        if rest := piece[skip:]:
            yield rest
        skip = max(0, skip - len(piece))


async def _piece(chunks: AsyncIterator[bytes]) -> bytes:
    gathered = bytearray()
    try:
        while len(gathered) < PIECE_BYTES:
            async with asyncio.timeout(IDLE_SECONDS):
                gathered += await anext(chunks)
    except StopAsyncIteration:
        pass
    except TimeoutError as error:
        raise RequestError("read request", status=408, got=f"nothing for {IDLE_SECONDS} s") from error
    return bytes(gathered)
