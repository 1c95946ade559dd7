"""Scores waiting requests together in one model call.

Requests that arrive while the event loop is busy are scored together on its next turn, so a single request is not
delayed (micro-batching without a delay; Clipper, Crankshaw et al. 2017, adds one). A model that answers within
INLINE_SECONDS is called on the loop, because a switch to a thread costs more than that. A slower model is called in a
thread, so that health checks still get answers."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from sailplane.errors import OverloadError

if TYPE_CHECKING:
    import numpy as np

INLINE_SECONDS: Final = 0.002
MOST_ROWS: Final = 256
MOST_WAITING: Final = 2_000
# A batch that takes longer than this, and than the overhead of a call, gains little and delays its first rows.
_BATCH_SECONDS: Final = 0.05
_WEIGHT: Final = 0.2
Values = Mapping[str, Sequence[Any]]
Predict = Callable[[Values], "np.ndarray"]


@dataclass(frozen=True)
class Pace:
    """The model's time in seconds: `call` per call, plus `row` per row."""

    call: float
    row: float

    def __call__(self, rows: int) -> float:
        return self.call + rows * self.row

    @property
    def most_rows(self) -> int:
        """The most rows of one call while other calls wait."""
        worth = max(self.call, _BATCH_SECONDS)
        return MOST_ROWS if self.row * MOST_ROWS <= worth else max(1, int(worth / self.row))

    @classmethod
    def measured(cls, predict: Predict, single: Values, many: Values, rows: int) -> Pace:
        """Measures the fastest of a few calls with one row, and with `rows` rows."""
        alone, together = _quickest(predict, single), _quickest(predict, many)
        row = max(0.0, together - alone) / max(1, rows - 1)
        return cls(call=alone, row=row)

    def after(self, rows: int, seconds: float) -> Pace:
        """The pace, updated by the duration of a call: an exponentially weighted mean, because real requests may be
        slower than the initial measurement."""
        return Pace(max(0.0, self.call + _WEIGHT * (seconds - self(rows))), self.row)


@dataclass(frozen=True, slots=True)
class _Waiting:
    values: Values
    rows: int
    deadline: float
    scores: asyncio.Future[np.ndarray]

    def wanted(self) -> bool:
        return not self.scores.done() and time.monotonic() < self.deadline


class Batcher:
    """Queues requests and scores them in batches. Calls `scored` with the rows, scores and seconds of each successful
    model call."""

    def __init__(
        self, predict: Predict, pace: Pace, scored: Callable[[int, np.ndarray, float], None], most: int = MOST_WAITING
    ) -> None:
        self._predict, self._pace, self._scored, self._most = predict, pace, scored, most
        self._queue: deque[_Waiting] = deque()
        self._busy = False
        self._rows = 0
        self._busy_until = 0.0
        # One thread: two would only compete.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")

    @property
    def waiting(self) -> int:
        """The number of waiting requests."""
        return len(self._queue)

    @property
    def most_rows(self) -> int:
        """The most rows of one call while other calls wait."""
        return self._pace.most_rows

    async def score(self, values: Values, rows: int, seconds: float) -> np.ndarray:
        """Scores rows. Raises OverloadError immediately if scoring would take longer than `seconds`, or after `seconds`
        if it has taken longer."""
        self._admit(rows, seconds)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(values, rows, time.monotonic() + seconds, loop.create_future())
        self._queue.append(waiting)
        self._rows += rows
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next)
        late = loop.call_later(seconds, _give_up, waiting.scores, seconds)
        try:
            return await waiting.scores
        finally:
            late.cancel()

    def _admit(self, rows: int, seconds: float) -> None:
        behind, pace = self._rows + rows, self._pace
        needed = pace.row * behind + pace.call * math.ceil(behind / pace.most_rows)
        needed += max(0.0, self._busy_until - time.monotonic())
        if len(self._queue) >= self._most or (self._queue and needed > seconds):
            got = f"{len(self._queue)} requests are already waiting"
            raise OverloadError("score", got=got, remedy="Send it again later.", retry_after=math.ceil(min(needed, 60)))

    def _next(self) -> None:
        batch = self._batch()
        if not batch:
            self._busy = False
            return
        seconds = self._pace(sum(waiting.rows for waiting in batch))
        self._busy_until = time.monotonic() + seconds
        if seconds <= INLINE_SECONDS:
            self._answer(batch, self._results(batch))
        else:
            loop = asyncio.get_running_loop()
            called = loop.run_in_executor(self._thread, self._results, batch)
            called.add_done_callback(lambda done: self._answer(batch, done.result()))

    def _batch(self) -> list[_Waiting]:
        """The oldest requests that still have a waiting client. A request with more rows than a call allows is scored
        alone."""
        batch: list[_Waiting] = []
        rows, most = 0, self._pace.most_rows
        while self._queue and (not batch or rows + self._queue[0].rows <= most):
            waiting = self._queue.popleft()
            self._rows -= waiting.rows
            if waiting.wanted():
                batch.append(waiting)
                rows += waiting.rows
        return batch

    def _answer(self, batch: list[_Waiting], results: list[np.ndarray | Exception]) -> None:
        for waiting, result in zip(batch, results, strict=True):
            if waiting.scores.done():
                continue
            if isinstance(result, Exception):
                waiting.scores.set_exception(result)
            else:
                waiting.scores.set_result(result)
        asyncio.get_running_loop().call_soon(self._next)

    def _results(self, batch: list[_Waiting]) -> list[np.ndarray | Exception]:
        try:
            scores = self._called(_merged([waiting.values for waiting in batch]))
        except Exception as error:
            if len(batch) == 1:
                return [error]
            # One request caused the failure; score each alone so that the others get their answers.
            return [result for waiting in batch for result in self._results([waiting])]
        slices = _bounds([waiting.rows for waiting in batch])
        return [scores[start:end] for start, end in slices]

    def _called(self, values: Values) -> np.ndarray:
        start, rows = time.perf_counter(), len(next(iter(values.values())))
        try:
            scores = self._predict(values)
        finally:
            seconds = time.perf_counter() - start
            self._pace = self._pace.after(rows, seconds)
        self._scored(rows, scores, seconds)
        return scores


def _merged(parts: Sequence[Values]) -> Values:
    if len(parts) == 1:
        return parts[0]
    return {name: [value for part in parts for value in part[name]] for name in parts[0]}


def _bounds(sizes: Sequence[int]) -> list[tuple[int, int]]:
    return [(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True)]


def _give_up(scores: asyncio.Future[np.ndarray], seconds: float) -> None:
    if not scores.done():
        got = f"no answer within {seconds:g} s"
        scores.set_exception(OverloadError("score", got=got, remedy="Send it again later."))


def _quickest(predict: Predict, values: Values) -> float:
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        predict(values)
        seconds.append(time.perf_counter() - start)
    return min(seconds)
