"""How often the gate rejects a model that is as good in every slice, and how often it finds the loss for which it is
made. Prints `claim | measured | draws`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import fmean

import numpy as np
import pandas as pd
import pytest

from sailplane.evaluation.details import Slice
from sailplane.evaluation.gate import Gate
from sailplane.evaluation.slices import groups, judged
from tests.unit.evaluation.days import Days

DRAWS = 1000
# Three standard errors of a share of 5% in 1,000 draws.
CHANCE = 0.021
PLACES, HOURS = 10, 5


def drawn(random: np.random.Generator, days: Days, gate: Gate, *, noise: float = 0.0) -> Iterator[Slice]:
    """Draws two equally good models, except that the challenger's scores have noise at place 0."""
    target, (mine, its), clusters = days.draw(random)
    rows = pd.DataFrame(
        {"place": random.integers(PLACES, size=len(target)), "hour": random.integers(HOURS, size=len(target))}
    )
    first = (rows["place"] == 0).to_numpy()
    logit = np.log(mine[first] / (1 - mine[first])) + noise * random.normal(size=(first.sum(), 1))
    mine[first] = 1 / (1 + np.exp(-logit))
    known = {"challenger": mine, "champion": its}
    return judged(gate, groups(gate, rows), target, known, clusters)


def gate_on(metric: str, allowed: float = 0.0) -> Gate:
    limit = {} if metric == "auc" else {"maximum": 9.0}
    return Gate(metric=metric, slices={"place": allowed, "hour": allowed}, min_slice_rows=50, **limit)


@pytest.mark.parametrize("metric", ["auc", "log_loss"])
@pytest.mark.parametrize(("own", "said"), [(0.0, "no day effect"), (0.5, "own errors of each day")])
def test_equally_good_models_are_rejected_in_at_most_one_of_twenty_evaluations(
    metric: str, own: float, said: str
) -> None:
    random, days, gate, rejected = np.random.default_rng(1), Days([600] * 7, own=own), gate_on(metric), 0
    for _ in range(DRAWS):
        rejected += any(one.worse for one in drawn(random, days, gate))
    claim = f"equal models, {PLACES + HOURS} slices, 7 days of 600, {said}: {metric} rejects at most 5%"
    print(f"{claim} | {rejected / DRAWS:.1%} | {DRAWS}")
    assert rejected / DRAWS <= 0.05 + CHANCE


@pytest.mark.parametrize(
    ("metric", "sizes", "noise"),
    [("auc", [1040] * 7, 2.7), ("auc", [3000] * 7, 1.06), ("log_loss", [1040] * 7, 1.25)],
)
def test_a_loss_as_large_as_the_stated_one_is_found_in_about_80_of_100_evaluations(
    metric: str, sizes: list[int], noise: float
) -> None:
    random, draws = np.random.default_rng(2), 600
    found = [next(drawn(random, Days(sizes), gate_on(metric), noise=noise)) for _ in range(draws)]
    loss = -fmean(one.gain or 0.0 for one in found)
    # Each evaluation knows the standard error only by an estimate, whose square is unbiased.
    stated = math.sqrt(fmean((one.detectable or 0.0) ** 2 for one in found))
    share = fmean(one.worse for one in found)
    claim = f"a {metric} loss of {loss:.4f} in a slice of {sizes[0] * 7 // PLACES} rows, {stated:.4f} stated for 80%"
    print(f"{claim} | found in {share:.1%} | {draws}")
    assert loss == pytest.approx(stated, rel=0.1)
    assert 0.7 <= share <= 0.9
