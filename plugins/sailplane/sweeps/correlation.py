"""Rank correlation and its confidence bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, StatisticsError, correlation
from typing import Final

# With fewer pairs Fisher's transformation has no standard error.
FEWEST: Final = 4
# Keeps the transformation finite.
_MOST: Final = 0.9999


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's coefficient; equal values share their mean rank. 0 if one side is constant."""
    try:
        return correlation(_ranks(first), _ranks(second))
    except StatisticsError:
        return 0.0


def lower_bound(coefficient: float, count: int, confidence: float = 0.9) -> float:
    """The one-sided lower bound of Spearman's coefficient of `count` pairs; -1 for fewer than FEWEST.

    Fisher's transformation with the variance 1.06 / (n - 3): Fieller, Hartley and Pearson, Biometrika, 1957.
    """
    if count < FEWEST:
        return -1.0
    standard_error = math.sqrt(1.06 / (count - 3))
    transformed = math.atanh(min(max(coefficient, -_MOST), _MOST))
    return math.tanh(transformed - NormalDist().inv_cdf(confidence) * standard_error)


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    first = {value: rank for rank, value in reversed(list(enumerate(ordered)))}
    return [first[value] + (ordered.count(value) - 1) / 2 for value in values]
