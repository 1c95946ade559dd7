"""How often the daily gate promotes a pipeline that is not better, and how soon a better one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from sailplane.evaluation.sequence import log_evidence

LEVEL = 0.05
NEEDED = math.log(1 / LEVEL)
DRAWS = 1000

Draw = Callable[[np.random.Generator, int], np.ndarray]


def first(gains: np.ndarray) -> int | None:
    """Returns the number of days until the evidence suffices."""
    return next((day for day in range(1, len(gains) + 1) if log_evidence(gains[:day]) >= NEEDED), None)


def carried_over(share: float) -> Draw:
    """Draws normal gains, of which a share is carried over from the day before."""

    def draw(random: np.random.Generator, days: int) -> np.ndarray:
        gains = random.normal(size=days)
        for day in range(1, days):
            gains[day] = share * gains[day - 1] + math.sqrt(1 - share**2) * gains[day]
        return gains

    return draw


@pytest.mark.parametrize(
    ("name", "draw", "most"),
    [
        ("normal gains", lambda random, days: random.normal(size=days), LEVEL),
        ("gains with heavy tails (t, 3 degrees of freedom)", lambda random, days: random.standard_t(3, days), LEVEL),
        ("days of uneven size", lambda random, days: random.normal(size=days) * random.choice([1, 5], days), LEVEL),
        ("a tenth of each gain from the day before, as flights has it", carried_over(0.1), LEVEL + 0.01),
        # These measure what the assumption of independent days costs; the bounds are loose.
        ("two fifths of each gain from the day before", carried_over(0.4), 0.15),
        (
            "gains that are skewed to the left (exponential)",
            lambda random, days: 1 - random.exponential(size=days),
            0.25,
        ),
    ],
)
def test_equal_models_are_promoted_by_mistake(name: str, draw: Draw, most: float) -> None:
    random = np.random.default_rng(1)
    share = sum(first(draw(random, 24)) is not None for _ in range(DRAWS)) / DRAWS
    print(f"equal models promoted within 24 daily looks, {name}: at most 5% | {share:.1%} | {DRAWS}")
    assert share <= most


def test_false_promotions_of_a_year_of_equal_models() -> None:
    random, draws, found = np.random.default_rng(2), 200, 0
    for _ in range(draws):
        day, gains = 0, random.normal(size=365)
        while (days := first(gains[day:])) is not None:
            found, day = found + 1, day + days
    print(f"false promotions a year, daily looks: at most 0.053 | {found / draws:.3f} | {draws} years")
    assert found / draws <= 0.08


@pytest.mark.parametrize(("size", "most"), [(0.5, 40), (1.0, 14), (1.35, 10), (2.0, 7), (3.0, 6)])
def test_days_until_a_better_pipeline_takes_over(size: float, most: int) -> None:
    random = np.random.default_rng(3)
    days = [first(random.normal(size, 1, 120)) or 999 for _ in range(DRAWS)]
    median, most_of_them = np.quantile(days, [0.5, 0.8])
    told = f"days until a daily gain of {size} standard deviations is promoted"
    print(f"{told} | median {median:.0f}, 80% within {most_of_them:.0f} | {DRAWS}")
    assert median <= most
