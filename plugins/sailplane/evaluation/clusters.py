"""Intervals for rows in clusters: rows of one day share their weather, so they are not independent.

The standard error is the jackknife over whole clusters (CR3), and the quantile that of Student's t with the degrees of
freedom of Bell and McCaffrey (2002), for independent rows as Imbens and Kolesar (2016) recommend. k clusters of equal
size give k - 1 degrees of freedom. The interval is exact for normal sums, even with two clusters. It needs no random
draws, so it has a bound at every level: at 0.999 and 7 clusters that is 5.2 standard errors away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Clusters:
    """The cluster of each row: `codes` [n], in which each of 0 to `count` - 1 occurs."""

    codes: NDArray[np.intp]

    @classmethod
    def of(cls, names: NDArray[np.generic]) -> Self:
        """Rows with the same name form a cluster."""
        return cls(np.unique(names, return_inverse=True)[1])

    def at(self, indices: NDArray[np.intp]) -> Clusters:
        """The clusters of the rows at these indices."""
        return Clusters.of(self.codes[indices])

    @cached_property
    def sizes(self) -> Rows:
        return np.bincount(self.codes).astype(np.float64)

    @property
    def count(self) -> int:
        return len(self.sizes)

    @cached_property
    def freedom(self) -> float:
        """Degrees of freedom of the standard error; 0 for a single cluster."""
        return _freedom(self.sizes) if self.count > 1 else 0.0

    def error(self, influence: Rows) -> float:
        """The standard error of an estimate from each row's influence on it: [n], with a mean of 0. Raises ValueError
        for a single cluster."""
        if self.count < 2:
            raise ValueError("a single cluster has no standard error")
        sums = np.bincount(self.codes, weights=influence)
        # The estimate without the cluster, minus the estimate.
        without = sums / (self.sizes.sum() - self.sizes)
        return math.sqrt((self.count - 1) / self.count * float(without @ without))

    def bound(self, value: float, influence: Rows, share: float) -> float | None:
        """The upper bound below which the true value lies with probability `share`; None for a single cluster."""
        if self.count < 2:
            return None
        from scipy.special import stdtrit

        return value + float(stdtrit(self.freedom, share)) * self.error(influence)

    def detectable(self, influence: Rows, level: float, power: float) -> float | None:
        """The true value that a one-sided test at `level` finds with probability `power`, by the noncentral t
        distribution; None for a single cluster."""
        if self.count < 2:
            return None
        from scipy.special import nctdtrinc, stdtrit

        critical = float(stdtrit(self.freedom, 1 - level))
        return float(nctdtrinc(self.freedom, 1 - power, critical)) * self.error(influence)


def _freedom(sizes: Rows) -> float:
    """2 E[V]^2 / Var[V] of the jackknife variance V, for independent rows of equal variance (Bell and McCaffrey 2002).

    V is a quadratic form of the clusters' sums with the matrix A_ij = d_i [i = j] - b_i - b_j + k; its traces are
    written out, so that it is fast even with as many clusters as rows."""
    share = sizes / sizes.sum()
    d = 1 / np.square(1 - share)
    b, k, v = d * share, float(d @ np.square(share)), share
    mean = float(v @ (d - 2 * b + k))
    crossed = k**2 + 2 * float(v @ np.square(b)) + 2 * float(v @ b) ** 2 - 4 * k * float(v @ b)
    square = crossed + float(np.square(v) @ (np.square(d) + 2 * d * (k - 2 * b)))
    return mean**2 / square
