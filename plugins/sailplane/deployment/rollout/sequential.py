"""Tests of means that stay valid however often, and whenever, one looks at them. Values in, values out.

Each is an e-process: a number that starts at 1 and whose expectation, if the hypothesis is true, is at most 1 at every
moment that one may choose to look. So it ever reaches 1/alpha with a probability of at most alpha (Ville 1939). All are
mixture likelihood ratios of Bernoulli observations (Robbins 1970) with Jeffreys's prior, the beta-binomial mixture of
Howard, Ramdas, McAuliffe and Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
propositions 7 and 8. They are valid for any values from 0 to 1, not only for 0 and 1: such values are sub-Bernoulli
(table 3 there; the mixture is less than the wealth of a bet, Waudby-Smith and Ramdas 2024, "Estimating means of bounded
random variables by betting"). For values that vary less than 0 and 1 would, they are slow, not wrong.

They depend only on the number of values and their sum, so looking twice, or after a pause, changes nothing. They assume
that at each moment the next value has the same mean, whatever came before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import scipy  # loads its parts at their first use, so that commands start quickly

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Jeffreys's prior of a rate, Beta(1/2, 1/2).
_A: Final = 0.5
# The search for the other sample's unknown mean: the points of a grid, and how often it is refined around the best one.
_GRID: Final = 40
_CLOSER: Final = 2
_TINY: Final = 1e-12


@dataclass(frozen=True)
class Sample:
    """`count` values from 0 to 1, and their sum."""

    count: float
    total: float

    def __post_init__(self) -> None:
        # The counters are not read at the same instant, and the evidence is undefined for a total above the count.
        object.__setattr__(self, "total", min(max(self.total, 0), self.count))

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else math.nan

    def mirrored(self) -> Sample:
        """The sample of 1 - each value."""
        return Sample(self.count, self.count - self.total)


def evidence_above(sample: Sample, limit: float) -> float:
    """The logarithm of the e-process against "the mean is at most `limit`"."""
    return float(_above(sample, np.array([limit]))[0])


def evidence_worse(sample: Sample, other: Sample, tolerance: float, *, paired: bool = False) -> float:
    """The logarithm of the e-process against "the mean is at most the other one's + `tolerance`".

    For each value that the other mean may have, the evidence against that value is multiplied by the evidence that this
    mean is more than `tolerance` above it; the least product counts, as in universal inference (Wasserman, Ramdas and
    Balakrishnan 2020). `paired` values, such as a shadow's, depend on each other, so the mean of both replaces the
    product: the mean of e-processes is one, whatever the dependence (Vovk and Wang 2021, "E-values").
    """

    def against(mean: NDArray[np.float64]) -> NDArray[np.float64]:
        above, elsewhere = _above(sample, mean + tolerance), _elsewhere(other, mean)
        if paired:
            return np.logaddexp(above, elsewhere) - math.log(2)
        # Half of the wealth is not bet, so evidence for the opposite takes away no more than the other half.
        return np.logaddexp(above, 0.0) - math.log(2) + elsewhere

    if not sample.count or not other.count:
        return 0.0
    return _least(against, low=max(0.0, -tolerance), near=other.mean, there=sample.mean - tolerance)


def interval(sample: Sample, level: float) -> tuple[float, float]:
    """The confidence sequence of the mean: with a probability of 1 - `level` it contains the mean at every moment."""
    if not sample.count:
        return 0.0, 1.0

    hits, misses = sample.total, sample.count - sample.total
    mixed = float(scipy.special.betaln(_A + hits, _A + misses) - scipy.special.betaln(_A, _A)) - math.log(1 / level)

    def excess(mean: float) -> float:
        return mixed - _times_log(hits, mean) - _times_log(misses, 1 - mean)

    middle = min(max(sample.mean, _TINY), 1 - _TINY)
    return _end(excess, 0.0, middle), _end(excess, 1.0, middle)


def difference(sample: Sample, other: Sample, level: float, *, paired: bool = False) -> tuple[float, float]:
    """Both bounds of the sample's mean - the other one's, each with a confidence of 1 - `level` at every moment."""
    if not sample.count or not other.count:
        return -1.0, 1.0

    def low(this: Sample, that: Sample) -> float:
        def excess(tolerance: float) -> float:
            return evidence_worse(this, that, tolerance, paired=paired) - math.log(1 / level)

        return _end(excess, -1.0, this.mean - that.mean, tolerance=1e-5)

    return low(sample, other), -low(sample.mirrored(), other.mirrored())


def _times_log(count: float, share: float) -> float:
    if not count:
        return 0.0
    return count * math.log(share) if share > 0 else -math.inf


def _above(sample: Sample, limits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of the evidence against each limit; there is none against a limit of 1 or more."""
    hits, misses = sample.total, sample.count - sample.total
    limits = np.clip(limits, 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mixed = scipy.special.betaln(_A + hits, _A + misses) - scipy.special.betaln(_A, _A)
        # The parts of the posterior and of the prior above the limit.
        share = np.log(scipy.special.betaincc(_A + hits, _A + misses, limits)) - np.log(
            scipy.special.betaincc(_A, _A, limits)
        )
        evidence = mixed + share - scipy.special.xlogy(hits, limits) - scipy.special.xlog1py(misses, -limits)
    evidence = np.where(np.isnan(evidence), -np.inf, evidence)
    return np.where(limits >= 1.0, 0.0, evidence)


def _elsewhere(sample: Sample, means: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of the evidence against each of the means."""
    hits, misses = sample.total, sample.count - sample.total
    mixed = scipy.special.betaln(_A + hits, _A + misses) - scipy.special.betaln(_A, _A)
    with np.errstate(divide="ignore"):
        return np.asarray(mixed - scipy.special.xlogy(hits, means) - scipy.special.xlog1py(misses, -means))


def _least(
    against: Callable[[NDArray[np.float64]], NDArray[np.float64]], *, low: float, near: float, there: float
) -> float:
    """The least evidence over the means from `low` to 1. Its mean is between the two that explain one sample each, or
    close to them."""
    start = min(max(near, low), 1.0)
    there = min(max(there, start), 1.0)
    grid = np.unique(np.concatenate([np.linspace(start, there, _GRID), np.linspace(there, 1.0, 8), [low]]))
    least = math.inf
    for _ in range(_CLOSER + 1):
        evidence = against(grid)
        best = int(np.argmin(evidence))
        least = min(least, float(evidence[best]))
        grid = np.linspace(grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)], _GRID)
    return least


def _end(excess: Callable[[float], float], end: float, middle: float, *, tolerance: float = 1e-9) -> float:
    """The last value that is not ruled out between `middle`, which has no evidence against it, and `end`."""
    if excess(end) <= 0 or excess(middle) >= 0:
        return end if excess(end) <= 0 else middle
    return float(scipy.optimize.brentq(excess, end, middle, xtol=tolerance))
