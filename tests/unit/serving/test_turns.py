"""Turns of the event loop."""

from __future__ import annotations

import asyncio

from sailplane.serving.turns import Turns


async def _taken(turns: Turns, name: int, order: list[int]) -> None:
    await turns()
    order.append(name)


async def _three() -> list[int]:
    turns, order, counts = Turns(), list[int](), list[int]()
    tasks = [asyncio.ensure_future(_taken(turns, name, order)) for name in range(3)]
    while len(order) < 3:
        await asyncio.sleep(0)
        counts.append(len(order))
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2]
    return counts


def test_one_has_its_turn_in_each_round_of_the_loop_in_the_order_of_their_coming() -> None:
    counts = asyncio.run(_three())
    assert all(after - before <= 1 for before, after in zip([0, *counts], counts, strict=False)), counts


async def _with_one_that_left() -> list[int]:
    turns, order = Turns(), list[int]()
    tasks = [asyncio.ensure_future(_taken(turns, name, order)) for name in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait(tasks, timeout=5)
    await asyncio.wait_for(_taken(turns, 3, order), 5)
    return order


def test_a_turn_of_one_who_left_is_given_to_the_next_one() -> None:
    assert asyncio.run(_with_one_that_left()) == [0, 2, 3]
