"""Tests whether two versions differ by more than their customers do.

With `sticky`, a version has the same customers for a whole step, so differences between customers do not cancel over
time as in blocks.py. But customers are assigned to a version by chance. Here the observations are the model server's
groups of customers, and the difference of the two means is tested by a t-test like Welch's, with the bias-reduced
variance of clusters and the degrees of freedom of Bell and McCaffrey 2002, "Bias reduction in standard errors for
linear regression with multi-stage samples". A group weighs as much as its requests, so a few large customers are few
observations, whatever the number of groups.

A version with few customers may have ones that are alike by chance. So the variance of its mean counts as at least the
one that the champion's customers imply: if a version gets each customer with probability q, and d is the amount by
which a customer's part of a sum exceeds the mean, the sum over the customers drawn has the variance q (1 - q) times the
sum of d^2 (Horvitz and Thompson 1952).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from sailplane.deployment.rollout.blocks import BlockTest, binary_variance, t_test
from sailplane.deployment.rollout.sequential import Sample, evidence_above

if TYPE_CHECKING:
    from numpy.typing import NDArray

# With fewer groups of the new version's customers there is no evidence.
LEAST: Final = 5


@dataclass(frozen=True)
class Agreed:
    """Two tests that must both fail: by blocks of time, and by groups of customers if versions have different ones."""

    blocks: BlockTest
    customers: BlockTest | None = None

    @property
    def evidence(self) -> float:
        by_time = self.blocks.evidence
        return by_time if self.customers is None else min(by_time, -math.log(max(self.customers.p, 1e-300)))

    @property
    def p(self) -> float:
        return max(self.blocks.p, 0.0 if self.customers is None else self.customers.p)

    def bounds(self, level: float, *, once: bool) -> tuple[float, float, float] | None:
        """The bounds of the mean by the test that allows more, and the distance from the limit at which both fail; None
        if one of them cannot fail."""
        reaches = [(self.blocks.reach(level, once=once), self.blocks.mean)]
        if self.customers is not None:
            reaches.append((self.customers.reach(level, once=True), self.customers.mean))
        known = [(reach, mean) for reach, mean in reaches if reach is not None]
        if len(known) < len(reaches):
            return None
        reach, mean = max(known)
        return mean - reach, mean + reach, reach


@dataclass(frozen=True)
class Groups:
    """One quantity at one step, by groups of customers.

    :param counts: [groups, 4]: count and total of the new version and of the champion
    :param share: the new version's share of the customers
    :param anonymous: values without a customer are independent, because their requests go to a version by chance;
        otherwise they count as one customer's
    """

    counts: NDArray[np.float64]
    share: float
    anonymous: bool = True

    def worse(self, sample: Sample, other: Sample, tolerance: float, variance: float | None = None) -> BlockTest:
        """Tests the hypothesis "for all customers, the new version's mean is at most the champion's + `tolerance`"."""
        single = self._single(sample, other, variance)
        mine, its = self._both(sample, other, single)
        if mine is None or its is None:
            return BlockTest(self.seen)
        both = mine.plus(its)
        variance = max(both.variance, single * (1 / sample.count + 1 / other.count))
        return t_test(self.seen, sample.mean - other.mean, math.sqrt(variance), both.freedom + 1, tolerance)

    def above(self, sample: Sample, other: Sample, limit: float) -> BlockTest:
        """Tests the hypothesis "for all customers, the new version's mean is at most `limit`"."""
        single = self._single(sample, other, None)
        mine, _ = self._both(sample, other, single)
        if mine is None:
            return BlockTest(self.seen)
        spread = math.sqrt(max(mine.variance, single / sample.count))
        return t_test(self.seen, sample.mean, spread, mine.freedom + 1, limit)

    def gross(self, other: Sample, limit: float, allowed: float) -> float:
        """The logarithm of the evidence against "no more customers have a mean above `limit` than the champion's mean
        allows": by Markov's inequality, at most a share of mean / `limit`. A mean below `allowed` counts as `allowed`.
        Infinite if no request names a customer."""
        n, x = self.counts[self.counts[:, 0] > 0, :2].T
        mean = max(allowed, (other.total + 1) / (other.count + 1))
        return evidence_above(Sample(len(n), int((x / n > limit).sum())), mean / limit) if len(n) else math.inf

    @property
    def seen(self) -> int:
        """The number of groups from which the new version had a value."""
        return int((self.counts[:, 0] > 0).sum())

    def _both(self, sample: Sample, other: Sample, single: float) -> tuple[_Mean | None, _Mean | None]:
        n, x, m, y = self.counts.T
        mine, its = self._mean(n, x, sample, single), self._mean(m, y, other, single)
        if mine is None or its is None:
            return mine, its
        odds = self.share / (1 - self.share)
        borrowed = odds * (other.count / sample.count) ** 2 * its.variance
        return replace(mine, variance=max(mine.variance, borrowed)), its

    def _mean(
        self, counts: NDArray[np.float64], totals: NDArray[np.float64], every: Sample, single: float
    ) -> _Mean | None:
        """The variance of the mean; None with too few groups. `every`: all values, with or without a customer."""
        counts, totals = counts[counts > 0], totals[counts > 0]
        rest = max(every.count - float(counts.sum()), 0.0)
        if rest and not self.anonymous:
            left = min(max(every.total - float(totals.sum()), 0.0), rest)
            counts, totals, rest = np.append(counts, rest), np.append(totals, left), 0.0
        independent = _Mean(rest * single / every.count**2, rest) if rest else None
        if not len(counts):
            return independent
        if len(counts) < LEAST:
            return None
        grouped = _clustered(counts, totals, single)
        grouped = replace(grouped, variance=grouped.variance * (float(counts.sum()) / every.count) ** 2)
        return grouped if independent is None else grouped.plus(independent)

    def _single(self, sample: Sample, other: Sample, variance: float | None) -> float:
        """The variance of one value."""
        both = sample.count + other.count
        return binary_variance((sample.total + other.total) / both) if variance is None else variance


@dataclass(frozen=True)
class _Mean:
    """The variance of a mean, and its degrees of freedom."""

    variance: float
    freedom: float

    def plus(self, other: _Mean) -> _Mean:
        """The variance of the sum of two means, by Satterthwaite's approximation."""
        variance = self.variance + other.variance
        parts = self.variance**2 / self.freedom + other.variance**2 / other.freedom
        return _Mean(variance, variance**2 / parts)


def _clustered(counts: NDArray[np.float64], totals: NDArray[np.float64], single: float) -> _Mean:
    """The variance of the mean of all values in the groups. `single`: the variance of a value within a group."""
    weights, values = counts / counts.sum(), totals / counts
    factors = weights**2 / (1 - weights)
    deviations = values - weights @ values
    between = _between(counts / single, deviations)
    # The estimate is a quadratic form of the groups' means, whose variances are `between + single / counts`.
    centred = np.eye(len(counts)) - weights
    form = np.sqrt(factors)[:, None] * centred * np.sqrt(between + single / counts)
    squares = form.T @ form
    freedom = float(np.trace(squares)) ** 2 / float((squares * squares).sum())
    return _Mean(max(float(factors @ deviations**2), 1e-18), freedom)


def _between(precisions: NDArray[np.float64], deviations: NDArray[np.float64]) -> float:
    """The variance between groups, by moments (DerSimonian and Laird 1986, "Meta-analysis in clinical trials")."""
    total = float(precisions.sum())
    excess = float(precisions @ deviations**2) - (len(deviations) - 1)
    return max(excess / (total - float(precisions @ precisions) / total), 0.0)
