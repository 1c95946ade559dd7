from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sailplane.training.arrays import Split
from sailplane.training.batches import Batches
from sailplane.training.compute import Compute

ROWS = 103


def split(rows: int = ROWS) -> Split:
    number = np.arange(rows, dtype="float32")
    return Split(features={"number": number[:, None], "double": 2 * number}, target=number)


class Pieces:
    """A stream of the same rows, in pieces of seven."""

    def __len__(self) -> int:
        return ROWS

    def chunks(self, seed: int) -> Iterator[tuple[dict[str, Any], Any]]:
        order = np.random.default_rng(seed).permutation(ROWS)
        for start in range(0, ROWS, 7):
            rows, whole = order[start : start + 7], split()
            yield {name: array[rows] for name, array in whole.features.items()}, whole.target[rows]


def targets(batches: Batches) -> list[list[float]]:
    return [batch.target.tolist() for batch in batches]


def batches(rows: Any, size: int, *, seed: int = 1, rank: int = 0, processes: int = 1) -> Batches:
    return Batches(rows, size, compute=Compute(rank=rank, processes=processes), seed=lambda: seed)


@pytest.mark.parametrize("rows", [split(), Pieces()])
@pytest.mark.parametrize("size", [1, 10, 103, 1000])
def test_each_row_comes_once_and_with_its_own_features(rows: Any, size: int) -> None:
    made = list(batches(rows, size))
    assert len(made) == len(batches(rows, size))
    assert {len(batch) for batch in made[:-1]} <= {size}
    for batch in made:
        assert batch.features["number"][:, 0].tolist() == batch.target.tolist()
        assert (batch.features["double"] / 2).tolist() == batch.target.tolist()
    assert sorted(value for batch in made for value in batch.target.tolist()) == list(range(ROWS))


def test_the_order_hangs_on_the_seed_alone() -> None:
    assert targets(batches(split(), 10)) == targets(batches(split(), 10))
    assert targets(batches(split(), 10)) != targets(batches(split(), 10, seed=2))


def test_the_seed_is_asked_at_each_pass() -> None:
    seeds = iter([1, 2, 1])
    twice = Batches(split(), 10, compute=Compute(), seed=lambda: next(seeds))
    first, second, third = targets(twice), targets(twice), targets(twice)
    assert first == third != second


@pytest.mark.parametrize("rows", [split(), Pieces()])
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_share_each_batch_of_one(rows: Any, processes: int) -> None:
    """Each batch has the same rows as with one process, except rows that cannot be divided."""
    alone = targets(batches(rows, 12))
    parts = [batches(rows, 12, rank=rank, processes=processes) for rank in range(processes)]
    assert {len(part) for part in parts} == {len(alone)}
    shared = [targets(part) for part in parts]
    assert {len(part) for part in shared} == {len(alone)}
    together = [sorted(value for part in batch for value in part) for batch in zip(*shared, strict=True)]
    assert together[:-1] == [sorted(batch) for batch in alone[:-1]]
    assert {len(batch) for batch in zip(*shared, strict=True)} == {processes}
    assert len(together[-1]) == len(alone[-1]) - len(alone[-1]) % processes


def test_arrays_that_may_not_be_written_to_are_taken_too() -> None:
    rows = split()
    rows.target.setflags(write=False)
    assert len(list(batches(rows, 50))) == 3


def test_a_pass_leaves_the_arrays_as_they_were() -> None:
    rows = split()
    list(batches(rows, 10))
    assert rows.target.tolist() == list(range(ROWS))
