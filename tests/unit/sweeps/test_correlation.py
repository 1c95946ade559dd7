from __future__ import annotations

import math
import random

import pytest
from scipy import stats

from sailplane.sweeps.correlation import lower_bound, rank_correlation


def test_it_is_spearmans_with_and_without_ties() -> None:
    draw = random.Random(1)
    for most in (3, 1000):
        first = [draw.randint(0, most) for _ in range(40)]
        second = [value + draw.randint(0, most) for value in first]
        assert rank_correlation(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)


def test_what_does_not_vary_correlates_with_nothing() -> None:
    assert rank_correlation([1, 1, 1], [1, 2, 3]) == 0
    assert rank_correlation([], []) == 0


def test_few_pairs_say_nothing() -> None:
    assert lower_bound(1.0, 3) == -1
    assert lower_bound(0.9, 5) < lower_bound(0.9, 50) < 0.9


@pytest.mark.parametrize("rho", [0.3, 0.6])
def test_the_bound_lies_below_the_true_coefficient_in_nine_of_ten_samples(rho: float) -> None:
    """There are 1,000 samples of ten pairs. For normal variables Spearman's coefficient is 6/pi asin(r/2)."""
    draw = random.Random(1)
    below = 0
    for _ in range(1000):
        first = [draw.gauss(0, 1) for _ in range(10)]
        second = [rho * one + (1 - rho**2) ** 0.5 * draw.gauss(0, 1) for one in first]
        below += lower_bound(rank_correlation(first, second), 10) < 6 / math.pi * math.asin(rho / 2)
    assert 0.87 < below / 1000 < 0.95
