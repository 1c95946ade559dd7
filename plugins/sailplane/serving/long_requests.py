"""Handles long requests one at a time and in parts. Each part is read and checked in a thread, then scored together
with the short requests. A disconnect, a timeout or the first bad row ends the request before the next part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sailplane.errors import ModelError, OverloadError, RequestError
from sailplane.serving.violations import Violations

if TYPE_CHECKING:
    import numpy as np

    from sailplane.serving.batcher import Values

T = TypeVar("T")


class RowsPart(NamedTuple):
    """Rows of a request, by field; `first` is the number of the first row."""

    first: int
    columns: dict[str, list[Any]]


class Abandoned(Exception):
    """The client no longer waits for the work."""


@dataclass
class Work:
    """The work on one request during its turn. `_most_scores` is the limit on scores in a reply."""

    _thread: ThreadPoolExecutor
    _read: Callable[[dict[str, list[Any]], Violations, int], Values]
    _score: Callable[[Values], Awaitable[np.ndarray]]
    _most_scores: int
    _over: bool = False
    violations: Violations = field(default_factory=Violations)

    def check(self) -> None:
        """Raises Abandoned if the client no longer waits."""
        if self._over:
            raise Abandoned

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Runs `work` in the thread. It should take at most a few milliseconds."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def scores(self, parts: Iterator[RowsPart]) -> np.ndarray:
        import numpy as np

        found: list[np.ndarray] = []
        count = 0
        while (part := await self.in_thread(lambda: self._next(parts))) is not None:
            first, values = part
            try:
                found.append(await self._score(values))
            except ModelError as error:  # its row numbers are relative to the part
                raise ModelError("score", f"the rows from {first} on", got=error) from error
            count += found[-1].size
            if count > self._most_scores:
                got, expected = "more rows than a reply can hold", f"at most {self._most_scores} scores"
                raise RequestError("score", status=413, got=got, expected=expected, remedy="Send fewer rows.")
        return np.concatenate(found)

    def _next(self, parts: Iterator[RowsPart]) -> tuple[int, Values] | None:
        self.check()
        part = next(parts, None)
        return None if part is None else (part.first, self._read(part.columns, self.violations, part.first))


class LongRequests:
    def __init__(
        self,
        read: Callable[[dict[str, list[Any]], Violations, int], Values],
        score: Callable[[Values], Awaitable[np.ndarray]],
        most_scores: int,
    ) -> None:
        self._read, self._score, self._most_scores = read, score, most_scores
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read")
        self._turn = asyncio.Semaphore(1)

    def later(self, work: Callable[[], object], seconds: Sequence[float]) -> list[asyncio.TimerHandle]:
        """Runs `work` in the thread after each of these delays."""
        loop = asyncio.get_running_loop()
        return [loop.call_later(delay, self._thread.submit, work) for delay in seconds]

    @asynccontextmanager
    async def turn(self, seconds: float) -> AsyncIterator[Work]:
        """Waits for a turn. Raises OverloadError if the work takes longer than `seconds`."""
        work = Work(self._thread, self._read, self._score, self._most_scores)
        try:
            async with asyncio.timeout(seconds), self._turn:
                yield work
        except TimeoutError as error:
            got = f"no answer within {seconds:g} s"
            raise OverloadError("score", got=got, remedy="Send fewer rows, or send it again later.") from error
        finally:
            work._over = True
