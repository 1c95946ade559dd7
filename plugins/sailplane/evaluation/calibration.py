"""The calibration error, and its interval for independent rows.

The plug-in error is biased upwards by noise: on 200 rows, a perfect model seems to be off by 0.08. The error here is
debiased (Kumar, Liang and Ma 2019, "Verified uncertainty calibration"): the root of the mean squared gap between
probability and frequency, over ten bins of equally many rows, less what chance alone gives.

The interval follows Sun, Chaudhari, Barnett and Dobriban (2024, arXiv 2408.08998): the squared gaps of a calibrated
model are chi-squared, those of another model about normal. A noncentral chi-squared distribution with the same mean and
variance covers both cases, and the interval is that of its noncentrality. Near 0 the lower end spends the whole level,
so that no interval lies above the error of a perfect model. tests/soak/test_calibration.py measures the coverage.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sailplane.evaluation.details import LEVEL, Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS: Final = 10
# The noncentrality at which both ends spend about the same part of the level.
_NEAR_ZERO: Final = 4.0


@dataclass(frozen=True)
class Gaps:
    """Arrays with one value per bin: its share of the rows, its mean of probability - hit, and the variance of that
    mean. Bins with a single row have no variance and are left out."""

    share: NDArray[np.float64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The debiased calibration error; 0 if chance alone explains the gaps."""
        return math.sqrt(max(self._squares - self._noise, 0.0))

    def estimate(self) -> Estimate:
        """The error with its interval at `LEVEL`, for independent rows. There is no interval if the gaps within each
        bin are equal."""
        if not self._noise:
            return Estimate(value=self.error)
        scale = self._scale
        low, high = _noncentrality(self._squares / scale, self._noise / scale)
        return Estimate(value=self.error, low=math.sqrt(low * scale), high=min(1.0, math.sqrt(high * scale)))

    @property
    def _squares(self) -> float:
        return float((self.share * np.square(self.mean)).sum())

    @property
    def _noise(self) -> float:
        """The part of `_squares` that a perfect model has by chance."""
        return float((self.share * self.variance).sum())

    @property
    def _scale(self) -> float:
        """The scale of the chi-squared distribution: that of a perfect model's noise, or, if it is larger, of the bins
        with large gaps."""
        noise = self.share * self.variance
        perfect = float(np.square(noise).sum() / self._noise)
        if not self._squares:
            return perfect
        off = float((noise * self.share * np.square(self.mean)).sum() / self._squares)
        known = max(self._squares - self._noise, 0.0)
        return max(perfect, (known * off + self._noise * perfect) / (known + self._noise))


def gaps(hit: NDArray[np.generic], probability: NDArray[np.floating]) -> Gaps:
    """Bins the rows by probability. Equal probabilities share a bin; with fewer than 20 rows there are fewer bins.

    :param hit: [n], 0 or 1
    :param probability: [n], that `hit` is 1
    """
    exact = probability.astype(np.float64)
    bins = max(1, min(BINS, len(exact) // 2))
    edges = np.unique(np.quantile(exact, np.arange(1, bins) / bins))
    indices, off = np.searchsorted(edges, exact, side="right"), exact - hit.astype(np.float64)
    counts = np.bincount(indices).astype(np.float64)
    kept = counts > 1
    rows = counts[kept]
    mean = np.bincount(indices, weights=off)[kept] / rows
    squares = np.bincount(indices, weights=off**2)[kept] / rows
    variance = np.maximum(squares - mean**2, 0.0) / (rows - 1)
    return Gaps(rows / max(rows.sum(), 1.0), mean, variance)


def _noncentrality(squares: float, degrees: float) -> tuple[float, float]:
    """The interval of the noncentrality of a chi-squared value."""
    from scipy.stats import ncx2

    level = 1 - LEVEL

    def above(value: float) -> float:
        """The share of the level that the lower end may spend."""
        return level / 2 * (1 + math.exp(-value / _NEAR_ZERO))

    def low(value: float) -> float:
        return float(ncx2.sf(squares, degrees, value)) - above(value)

    def high(value: float) -> float:
        return level - above(value) - float(ncx2.cdf(squares, degrees, value))

    most = 4 * squares + 100
    return _root(low, most), _root(high, most)


def _root(rising: Callable[[float], float], most: float) -> float:
    """The root of a rising function between 0 and `most`; 0 if the function is positive throughout."""
    from scipy.optimize import brentq

    tiny = 1e-9
    return float(brentq(rising, tiny, most)) if rising(tiny) < 0 else 0.0
