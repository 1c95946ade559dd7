"""The answers of a phase, cut into blocks of time, and a test of their means that dependent answers do not mislead.

A slow disk or a failing neighbour makes consecutive answers alike, so their number overstates the evidence. The test
takes the difference from the champion in the same block as one observation of unknown variance. A disturbance of both
versions cancels; a disturbance of one version counts as few observations. It is the anytime-valid t-test of Wang and
Ramdas 2024, "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance", with two normal
priors of the standardised effect. The number of blocks is divided by their integrated autocorrelation time (the initial
positive sequence of Geyer 1992, "Practical Markov chain Monte Carlo"). The test is approximate: blocks must be long
compared with a disturbance of one version.

The variance of the blocks counts as at least that of independent values, so few requests or rare values prove nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import scipy  # loads its parts at their first use, so that commands start quickly

if TYPE_CHECKING:
    from numpy.typing import NDArray

# At this number, neighbours are merged in pairs, and later blocks last twice as long: the state stays small, however
# long a phase is.
MOST: Final = 64
# A tested block has at least this many of the canary's answers.
REQUESTS: Final = 25.0
# With fewer blocks, or less time, there is no evidence: a disturbance may have lasted for most of it.
LEAST: Final = 8
SECONDS: Final = 60.0
# The prior's precisions of the effect, in standard deviations of a block, and their weights: an effect that 60 blocks
# show, and one that eight do.
_PRIORS: Final = ((4.0, 0.75), (0.5, 0.25))


@dataclass(frozen=True)
class BlockTest:
    """The result of a t-test of a mean.

    :param blocks: the number of blocks, or of groups of customers
    :param mean: the tested mean: a share, or the difference from the champion
    :param spread: the standard error of the mean
    :param independent: the number of independent blocks with as much information; 0 if there are too few
    :param evidence: the logarithm of the e-process, which is valid at any time
    :param p: Student's p-value, which is valid if it is looked at once
    """

    blocks: int
    mean: float = math.nan
    spread: float = math.nan
    independent: float = 0.0
    evidence: float = 0.0
    p: float = 1.0

    @property
    def enough(self) -> bool:
        """True if there are enough blocks for a test."""
        return self.independent > 0

    def reach(self, level: float, *, once: bool) -> float | None:
        """The distance of the mean from the limit at which the test fails at that level; None if no distance does."""
        if not self.enough:
            return None
        if once:
            return self.spread * float(-scipy.special.stdtrit(self.independent - 1, level))

        def excess(t: float) -> float:
            return _evidence(t, self.independent) - math.log(1 / level)

        return self.spread * float(scipy.optimize.brentq(excess, 0.0, 1e6, xtol=1e-3)) if excess(1e6) > 0 else None


def extended(blocks: Mapping[str, Any], seconds: float, added: Sequence[float]) -> Mapping[str, Any]:
    """The blocks with the counts that were `added` in the last `seconds`. All blocks but the last are equally long. A
    different number of counts means that the plan has changed: the blocks start over."""
    row = [seconds, *added]
    rows = [list(old) for old in blocks.get("rows", ()) if len(old) == len(row)]
    length = float(blocks.get("length", 1.0)) if rows else 1.0
    if rows and rows[-1][0] < length:
        rows[-1] = _sum(rows[-1], row)
    else:
        rows.append(row)
    if len(rows) >= MOST and rows[-1][0] >= length:
        rows, length = [_sum(*pair) for pair in zip(rows[::2], rows[1::2], strict=True)], 2 * length
    return {"rows": rows, "length": length}


def _sum(first: Sequence[float], second: Sequence[float]) -> list[float]:
    return [mine + its for mine, its in zip(first, second, strict=True)]


def table(blocks: Mapping[str, Any]) -> NDArray[np.float64]:
    """An array [blocks, 1 + 4 * quantities]: the seconds, then for each quantity the count and the total of the canary
    and of the champion."""
    rows = blocks.get("rows", ())
    return np.array(rows, dtype=float) if rows else np.zeros((0, 1))


def counts(table: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    """An array [blocks, 5]: the seconds, and the four numbers of the quantity at `index`."""
    if table.shape[1] < 5 + 4 * index:
        return np.zeros((0, 5))
    return np.asarray(table[:, [0, *range(1 + 4 * index, 5 + 4 * index)]])


def worse(quantity: NDArray[np.float64], tolerance: float, variance: float | None = None) -> BlockTest:
    """Tests the hypothesis "in the same time, the canary's mean is at most the champion's + `tolerance`".

    :param quantity: the numbers of one quantity, from `counts`
    :param variance: the variance of one value; None for values of 0 and 1, whose mean determines it
    """
    merged = _merged(quantity, champion=True)
    if _few(merged):
        return BlockTest(len(merged))
    _, n, x, m, y = merged.T
    variance = binary_variance((x.sum() + y.sum()) / (n.sum() + m.sum())) if variance is None else variance
    return _tested(x / n - y / m, tolerance, n * m / (n + m), variance)


def above(quantity: NDArray[np.float64], limit: float) -> BlockTest:
    """Tests the hypothesis "the canary's mean is at most `limit`"."""
    merged = _merged(quantity, champion=False)
    if _few(merged):
        return BlockTest(len(merged))
    _, n, x, _, _ = merged.T
    return _tested(x / n, limit, n, binary_variance(x.sum() / n.sum()))


def _few(merged: NDArray[np.float64]) -> bool:
    return len(merged) < LEAST or merged[:, 0].sum() < SECONDS


def binary_variance(mean: float) -> float:
    """The variance of values of 0 and 1 with that mean: the largest that values from 0 to 1 can have."""
    mean = min(max(mean, 1e-6), 1 - 1e-6)
    return mean * (1 - mean)


def _merged(quantity: NDArray[np.float64], *, champion: bool) -> NDArray[np.float64]:
    """Merges neighbours until each block has enough answers; the rest joins the last block."""
    ends: list[int] = []
    mine = its = 0.0
    for end, (_, count, _, other, _) in enumerate(quantity.tolist(), start=1):
        mine, its = mine + count, its + other
        if mine >= REQUESTS and (its or not champion):
            ends.append(end)
            mine = its = 0.0
    return np.add.reduceat(quantity, [0, *ends[:-1]], axis=0) if ends else np.zeros((0, 5))


def _tested(values: NDArray[np.float64], limit: float, weight: NDArray[np.float64], single: float) -> BlockTest:
    """`single`: the variance of one independent value. The variance of the mean counts as at least that of independent
    values: blocks may be alike by chance, for example before any rare value has come."""
    blocks, share = len(values), weight / weight.sum()
    mean = float(share @ values)
    deviations = share * (values - mean)
    variance = max(float(deviations @ deviations) * blocks / (blocks - 1), single / weight.sum(), 1e-18)
    correlation_time = _correlation_time(deviations, variance)
    spread = math.sqrt(variance * correlation_time)
    independent = max(blocks / correlation_time, 2.0)
    return t_test(blocks, mean, spread, independent, limit)


def t_test(blocks: int, mean: float, spread: float, independent: float, limit: float) -> BlockTest:
    """Tests the hypothesis "the mean is at most `limit`"."""
    t = (mean - limit) / spread
    return BlockTest(
        blocks, mean, spread, independent, _evidence(t, independent), float(scipy.special.stdtr(independent - 1, -t))
    )


def _correlation_time(deviations: NDArray[np.float64], squares: float) -> float:
    """The integrated autocorrelation time, in blocks; at least 1. The sum ends at the first correlation that 5% of
    independent blocks would show by chance."""
    total = 0.0
    for lag in range(1, len(deviations) // 2):
        correlation = float(deviations[:-lag] @ deviations[lag:]) / squares
        if correlation <= 1.645 / math.sqrt(len(deviations)):
            break
        total += correlation
    return 1 + 2 * total


def _evidence(t: float, count: float) -> float:
    """The logarithm of the e-process of a t statistic of `count` observations, against a mean of at most 0."""
    part = t * t / (t * t + count - 1)
    logs = [math.log(weight) + _log_ratio(prior, part, t, count) for prior, weight in _PRIORS]
    most = max(logs)
    return most + math.log(sum(math.exp(log - most) for log in logs))


def _log_ratio(precision: float, part: float, t: float, count: float) -> float:
    """The logarithm of the likelihood ratio with one normal prior."""
    shrunk = count * part / (count + precision)
    both_signs = 0.5 * math.log(precision / (precision + count)) - 0.5 * count * math.log1p(-shrunk)
    # The prior covers only effects above 0.
    statistic = math.copysign(math.sqrt(count * shrunk / max(1 - shrunk, 1e-12)), t)
    return both_signs + math.log(max(2 * float(scipy.special.stdtr(count, statistic)), 1e-300))
