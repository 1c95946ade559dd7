from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from sailplane.errors import ModelError, OverloadError
from sailplane.serving.batcher import MOST_ROWS, Batcher, Pace

QUICK, SLOW = Pace(call=0.0, row=0.0), Pace(call=1.0, row=0.0)


class Doubled:
    """A model that doubles each x. It records the sizes and threads of its calls."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.threads: set[int] = set()
        self.go = threading.Event()
        self.go.set()
        self.seconds = 0.0

    def __call__(self, values: Any) -> np.ndarray:
        assert self.go.wait(30)
        time.sleep(self.seconds)
        self.sizes.append(len(values["x"]))
        self.threads.add(threading.get_ident())
        if 13 in values["x"]:
            raise ModelError("score", got=13)
        return np.array(values["x"], dtype="float32").reshape(-1, 1) * 2


def nothing(_rows: int, _scores: np.ndarray, _seconds: float) -> None:
    pass


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await work()

    return asyncio.run(main())


@pytest.mark.parametrize("pace", [QUICK, SLOW])
def test_those_who_come_together_are_one_call_and_each_gets_its_own_rows(pace: Pace) -> None:
    model = Doubled()

    async def work() -> list[np.ndarray]:
        batcher = Batcher(model, pace, nothing)
        return await asyncio.gather(*(batcher.score({"x": [n, -n]}, 2, 60) for n in range(10)))

    scores = run(work)
    assert [list(found.ravel()) for found in scores] == [[2.0 * n, -2.0 * n] for n in range(10)]
    assert model.sizes == [20]


def test_a_quick_model_is_called_on_the_loop_and_a_slow_one_beside_it() -> None:
    for pace, here in ((QUICK, True), (SLOW, False)):
        model = Doubled()
        batcher = Batcher(model, pace, nothing)
        run(lambda batcher=batcher: batcher.score({"x": [1]}, 1, 60))
        assert (model.threads == {threading.get_ident()}) is here


def test_a_model_that_is_slower_than_it_was_measured_blocks_the_loop_once_and_goes_back_when_it_is_quick() -> None:
    model = Doubled()
    batcher = Batcher(model, QUICK, nothing)

    async def asked(value: float) -> bool:
        """Whether the model was called on the event loop."""
        model.threads.clear()
        await asyncio.gather(batcher.score({"x": [value]}, 1, 60), return_exceptions=True)
        return model.threads == {threading.get_ident()}

    async def work() -> None:
        model.seconds = 0.05
        assert [await asked(value) for value in (1, 1, 13, 1)] == [True, False, False, False]
        model.seconds = 0.0
        calls = [await asked(1) for _ in range(60)]
        assert calls[0] is False
        assert calls[-1] is True

    run(work)


def test_what_waits_while_the_model_works_is_the_next_call() -> None:
    model = Doubled()

    async def work() -> None:
        batcher = Batcher(model, SLOW, nothing)
        model.go.clear()
        first = asyncio.ensure_future(batcher.score({"x": [1]}, 1, 60))
        await turns()
        others = [asyncio.ensure_future(batcher.score({"x": [n]}, 1, 60)) for n in range(5)]
        await turns()
        assert batcher.waiting == 5
        model.go.set()
        await asyncio.gather(first, *others)

    run(work)
    assert model.sizes == [1, 5]


def test_a_call_has_a_bounded_number_of_rows_unless_one_request_has_more() -> None:
    model = Doubled()

    async def work() -> None:
        batcher = Batcher(model, QUICK, nothing)
        sizes = [MOST_ROWS - 1, 2, 3 * MOST_ROWS, 1]
        await asyncio.gather(*(batcher.score({"x": [0] * size}, size, 60) for size in sizes))

    run(work)
    assert model.sizes == [MOST_ROWS - 1, 2, 3 * MOST_ROWS, 1]


def test_one_that_the_model_fails_on_costs_no_other_its_answer() -> None:
    async def work() -> list[Any]:
        batcher = Batcher(Doubled(), QUICK, nothing)
        scored = (batcher.score({"x": [n]}, 1, 60) for n in (12, 13, 14))
        return await asyncio.gather(*scored, return_exceptions=True)

    first, failed, last = run(work)
    assert (float(first[0, 0]), float(last[0, 0])) == (24.0, 28.0)
    assert isinstance(failed, ModelError)


def test_over_the_most_that_may_wait_is_refused_at_once() -> None:
    model = Doubled()

    async def work() -> None:
        batcher = Batcher(model, SLOW, nothing, most=3)
        model.go.clear()
        first = asyncio.ensure_future(batcher.score({"x": [1]}, 1, 60))
        await turns()
        waiting = [asyncio.ensure_future(batcher.score({"x": [n]}, 1, 60)) for n in range(3)]
        await turns()
        with pytest.raises(OverloadError, match="3 requests are already waiting") as refused:
            await batcher.score({"x": [1]}, 1, 60)
        assert refused.value.retry_after >= 1
        model.go.set()
        await asyncio.gather(first, *waiting)

    run(work)
    assert model.sizes == [1, 3]


def test_what_would_be_too_late_is_refused_at_once() -> None:
    model = Doubled()

    async def work() -> None:
        batcher = Batcher(model, Pace(call=1.0, row=1.0), nothing)
        model.go.clear()
        first = asyncio.ensure_future(batcher.score({"x": [1]}, 1, 60))
        await turns()
        second = asyncio.ensure_future(batcher.score({"x": [1]}, 1, 60))
        await turns()
        with pytest.raises(OverloadError):
            await batcher.score({"x": [1]}, 1, 2)
        model.go.set()
        await asyncio.gather(first, second)

    run(work)


def test_a_request_that_is_given_up_is_not_scored_any_more() -> None:
    model = Doubled()

    async def work() -> None:
        batcher = Batcher(model, SLOW, nothing)
        model.go.clear()
        first = asyncio.ensure_future(batcher.score({"x": [1]}, 1, 60))
        await turns()
        with pytest.raises(OverloadError, match="no answer within"):
            await batcher.score({"x": [2, 2]}, 2, 0.1)
        model.go.set()
        await first
        await batcher.score({"x": [3, 3, 3]}, 3, 60)

    run(work)
    assert model.sizes == [1, 3]


def test_the_pace_is_what_a_call_and_what_a_row_takes() -> None:
    pace = Pace(call=0.001, row=0.0001)
    assert pace(10) == pytest.approx(0.002)
    measured = Pace.measured(Doubled(), {"x": [1]}, {"x": [1] * 32}, 32)
    assert 0 <= measured.call < 1
    assert 0 <= measured.row < 1


async def turns() -> None:
    """Lets the event loop turn often enough for started work to proceed."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_call_takes_as_many_rows_as_are_worth_their_wait() -> None:
    assert Pace(call=0.001, row=0.0).most_rows == MOST_ROWS
    assert Pace(call=0.001, row=0.01).most_rows == 5
    assert Pace(call=1.0, row=0.01).most_rows == 100
    assert Pace(call=0.0, row=3.0).most_rows == 1
