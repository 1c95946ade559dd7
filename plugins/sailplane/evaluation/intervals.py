"""Intervals of the contenders' metrics and of their differences, on the same rows.

The calibration error has an interval of its own, which counts each row as independent. The difference of two
calibration errors has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sailplane.errors import ConfigurationError
from sailplane.evaluation.calibration import Gaps, gaps
from sailplane.evaluation.clusters import Clusters
from sailplane.evaluation.details import LEVEL, Estimate
from sailplane.evaluation.gate import DAY, ROW
from sailplane.evaluation.influence import influence
from sailplane.evaluation.metrics import certainty, checked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

# With fewer clusters, one unusual cluster moves the interval.
FEW: Final = 10
# A difference that is found with this probability.
POWER: Final = 0.8


def clusters_of(by: str, rows: pd.DataFrame, days: NDArray[np.generic]) -> Clusters:
    """The rows' clusters: `"day"`, `"row"`, or by a column, of which each null is a cluster of its own. Raises
    ConfigurationError for a column that is not there."""
    if by == ROW:
        return Clusters(np.arange(len(rows)))
    if by == DAY:
        return Clusters.of(days)
    if by not in rows:
        expected = f'"{DAY}", "{ROW}" or one of {", ".join(map(str, rows.columns))}'
        raise ConfigurationError("cluster by", by, got="no such column", expected=expected)
    codes, names = pd.factorize(rows[by])
    return Clusters.of(np.where(codes < 0, len(names) + np.arange(len(rows)), codes))


def clusters_said(by: str, count: int) -> str:
    """As `7 days`."""
    if by in (DAY, ROW):
        return f"{count:,} {by}{'' if count == 1 else 's'}"
    return f"{count:,} values of {by}"


@dataclass(frozen=True)
class Intervals:
    """`influences` by contender and metric, [n] each; `gaps` by contender, of the calibration error."""

    clusters: Clusters
    influences: Mapping[str, Mapping[str, Rows]]
    gaps: Mapping[str, Gaps]

    @classmethod
    def of(
        cls, clusters: Clusters, target: NDArray[np.generic], scores: Mapping[str, NDArray[np.floating]]
    ) -> Intervals:
        influences = {name: influence(target, found) for name, found in scores.items()}
        apart = {name: gaps(*certainty(*checked(target, found))) for name, found in scores.items()}
        return cls(clusters, influences, apart)

    def estimate(self, contender: str, metric: str, value: float) -> Estimate:
        """A metric with its two-sided 95% interval."""
        if metric == "calibration_error":
            return self.gaps[contender].estimate()
        found = self._two_sided(value, self.influences[contender].get(metric))
        if found.low is None or found.high is None:
            return found
        return Estimate(
            value=value, low=max(0.0, found.low), high=min(1.0, found.high) if metric == "auc" else found.high
        )

    def difference(self, one: str, other: str, metric: str, value: float) -> Estimate:
        """The metric of one contender minus that of the other, with its two-sided 95% interval."""
        return self._two_sided(value, self._apart(one, other, metric))

    def gain(self, other: str, metric: str, value: float, share: float, *, sign: int) -> float | None:
        """The challenger's true gain lies below this with probability `share`; None for a single cluster.

        :param value: the gain on these rows, in the direction in which more is better
        :param sign: of the metric's own better direction, 1 or -1
        """
        apart = self._apart("challenger", other, metric)
        return None if apart is None else self.clusters.bound(value, sign * apart, share)

    def detectable(self, other: str, metric: str, level: float) -> float | None:
        """The true loss that a test at `level` finds with a probability of 0.8, beyond what is allowed."""
        apart = self._apart("challenger", other, metric)
        return None if apart is None else self.clusters.detectable(apart, level, POWER)

    def _apart(self, one: str, other: str, metric: str) -> Rows | None:
        mine, its = (self.influences[name].get(metric) for name in (one, other))
        return None if mine is None or its is None else mine - its

    def _two_sided(self, value: float, influence: Rows | None) -> Estimate:
        if influence is None:
            return Estimate(value=value)
        low, high = (self.clusters.bound(value, influence, share) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
        return Estimate(value=value, low=low, high=high)
