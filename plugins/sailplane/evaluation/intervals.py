"""Intervals of the contenders' metrics and of their differences, on the same rows.

The calibration error has a separate interval, which treats rows as independent. The difference of two calibration
errors has no interval.
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
# The probability with which a test finds a detectable difference.
POWER: Final = 0.8


def clusters_of(by: str, rows: pd.DataFrame, days: NDArray[np.generic]) -> Clusters:
    """Clusters the rows by `"day"`, by `"row"`, or by a column, where each null is a separate cluster. Raises
    ConfigurationError for a missing column."""
    if by == ROW:
        return Clusters(np.arange(len(rows)))
    if by == DAY:
        return Clusters.of(days)
    if by not in rows:
        expected = f'"{DAY}", "{ROW}" or one of {", ".join(map(str, rows.columns))}'
        raise ConfigurationError("cluster by", by, got="no such column", expected=expected)
    codes, names = pd.factorize(rows[by])
    return Clusters.of(np.where(codes < 0, len(names) + np.arange(len(rows)), codes))


def clusters_text(by: str, count: int) -> str:
    """The number of clusters in words, such as `7 days`."""
    if by in (DAY, ROW):
        return f"{count:,} {by}{'' if count == 1 else 's'}"
    return f"{count:,} values of {by}"


@dataclass(frozen=True)
class Intervals:
    """`influences` by contender and metric, [n] each; `gaps` of the calibration error, by contender."""

    clusters: Clusters
    influences: Mapping[str, Mapping[str, Rows]]
    gaps: Mapping[str, Gaps]

    @classmethod
    def of(
        cls, clusters: Clusters, target: NDArray[np.generic], scores: Mapping[str, NDArray[np.floating]]
    ) -> Intervals:
        influences = {name: influence(target, found) for name, found in scores.items()}
        gaps_by_name = {name: gaps(*certainty(*checked(target, found))) for name, found in scores.items()}
        return cls(clusters, influences, gaps_by_name)

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

    def difference(self, contender: str, other: str, metric: str, value: float) -> Estimate:
        """The metric of one contender minus that of the other, with its two-sided 95% interval."""
        return self._two_sided(value, self._influence_of_difference(contender, other, metric))

    def gain(self, other: str, metric: str, value: float, share: float, *, sign: int) -> float | None:
        """The upper bound below which the challenger's true gain lies with probability `share`; None for a single
        cluster.

        :param value: the gain on these rows; higher is better
        :param sign: 1 if higher values of the metric are better, else -1
        """
        difference = self._influence_of_difference("challenger", other, metric)
        return None if difference is None else self.clusters.bound(value, sign * difference, share)

    def detectable(self, other: str, metric: str, level: float) -> float | None:
        """The true loss beyond the allowed loss that a test at `level` finds with a probability of 0.8."""
        difference = self._influence_of_difference("challenger", other, metric)
        return None if difference is None else self.clusters.detectable(difference, level, POWER)

    def _influence_of_difference(self, contender: str, other: str, metric: str) -> Rows | None:
        mine, its = (self.influences[name].get(metric) for name in (contender, other))
        return None if mine is None or its is None else mine - its

    def _two_sided(self, value: float, influence: Rows | None) -> Estimate:
        if influence is None:
            return Estimate(value=value)
        low, high = (self.clusters.bound(value, influence, share) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
        return Estimate(value=value, low=low, high=high)
