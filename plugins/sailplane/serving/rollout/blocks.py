"""The answers of a phase, cut into blocks of time, and a test of their means that dependent answers do not mislead.

A slow disk or a failing neighbour makes answers that follow each other alike, so their number says too much. The test
takes the difference from the champion in the same block as one observation of unknown variance. What both versions
suffer at the same time cancels; what one suffers for a while counts as few observations. It is the anytime-valid t-test
of Wang and Ramdas 2024, "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance", with
a normal prior of the standardised effect. The number of blocks is divided by their integrated autocorrelation time (the
initial positive sequence of Geyer 1992, "Practical Markov chain Monte Carlo"). The test is approximate: it needs blocks
that are long against an interruption of one version.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtr

if TYPE_CHECKING:
    from numpy.typing import NDArray

# At this number, neighbours are merged in pairs: the state stays small, however long a phase is.
MOST: Final = 64
# A block that is tested has at least this many of the canary's answers, and lasts so many seconds.
REQUESTS: Final = 25.0
SECONDS: Final = 5.0
# With fewer blocks there is no evidence.
LEAST: Final = 8
# The prior's precision of the effect, in standard deviations of a block.
_PRECISION: Final = 4.0


@dataclass(frozen=True)
class Tested:
    """`evidence`: the logarithm of the e-process; `spread`: the standard error of the mean difference;
    `independent`: so many independent blocks tell as much."""

    blocks: int
    evidence: float = 0.0
    spread: float = math.nan
    independent: float = 0.0

    def turns(self, limit: float, level: float) -> float | None:
        """The estimate from which, with the same spread, the evidence is enough at that level."""
        if self.blocks < LEAST or self.independent < 2:
            return None

        def lacks(t: float) -> float:
            return _evidence(t, self.independent) - math.log(1 / level)

        return limit + self.spread * float(brentq(lacks, 0.0, 1e6, xtol=1e-3)) if lacks(1e6) > 0 else None


def longer(blocks: Mapping[str, Any], seconds: float, added: Sequence[float]) -> Mapping[str, Any]:
    """With one more block, of counts that add up. Empty if it has another number of counts: the plan has changed."""
    row = [seconds, *added]
    rows = [old for old in blocks.get("rows", ()) if len(old) == len(row)]
    rows.append(row)
    if len(rows) >= MOST:
        rows = [[one + two for one, two in zip(*pair, strict=True)] for pair in zip(rows[::2], rows[1::2], strict=True)]
    return {"rows": rows}


def counts(blocks: Mapping[str, Any], place: int) -> NDArray[np.float64]:
    """[blocks, 5]: the seconds, and of the quantity at `place` count and total of the canary and of the champion."""
    rows = np.array(blocks.get("rows", ()), dtype=float)
    if not len(rows) or rows.shape[1] < 5 + 4 * place:
        return np.zeros((0, 5))
    return np.asarray(rows[:, [0, *range(1 + 4 * place, 5 + 4 * place)]])


def worse(found: NDArray[np.float64], tolerance: float, *, binary: bool = True) -> Tested:
    """Against "in the same time the canary's mean is at most the champion's + `tolerance`"."""
    merged = _merged(found, champion=True)
    if len(merged) < LEAST:
        return Tested(len(merged))
    _, n, x, m, y = merged.T
    pooled = _variance((x.sum() + y.sum()) / (n.sum() + m.sum())) if binary else 0.0
    return _tested(x / n - y / m - tolerance, n * m / (n + m), pooled)


def above(found: NDArray[np.float64], limit: float) -> Tested:
    """Against "the canary's mean is at most `limit`"."""
    merged = _merged(found, champion=False)
    if len(merged) < LEAST:
        return Tested(len(merged))
    _, n, x, _, _ = merged.T
    return _tested(x / n - limit, n, _variance(x.sum() / n.sum()))


def _variance(mean: float) -> float:
    mean = min(max(mean, 1e-6), 1 - 1e-6)
    return mean * (1 - mean)


def _merged(found: NDArray[np.float64], *, champion: bool) -> NDArray[np.float64]:
    """Neighbours together until they last long enough and have enough answers; what is left goes to the last block."""
    made: list[NDArray[np.float64]] = []
    current = np.zeros(5)
    for row in found:
        current = current + row
        if current[0] >= SECONDS and current[1] >= REQUESTS and (current[3] or not champion):
            made.append(current)
            current = np.zeros(5)
    if made:
        made[-1] = made[-1] + current
    return np.array(made).reshape(-1, 5)


def _tested(difference: NDArray[np.float64], weight: NDArray[np.float64], pooled: float) -> Tested:
    """`pooled`: the variance that an independent 0 or 1 has, by which the blocks vary at least by a quarter."""
    blocks, share = len(difference), weight / weight.sum()
    mean = float(share @ difference)
    rest = share * (difference - mean)
    variance = float(rest @ rest) * blocks / (blocks - 1)
    # Values that are no 0 or 1 vary less; blocks that are alike by chance are not taken at their word.
    variance = max(variance, 0.25 * pooled / weight.sum(), 1e-18)
    alike = _alike(rest, variance)
    spread = math.sqrt(variance * alike)
    independent = max(blocks / alike, 2.0)
    evidence = _evidence(mean / spread, independent) if mean > 0 else 0.0
    return Tested(blocks, evidence, spread, independent)


def _alike(rest: NDArray[np.float64], squares: float) -> float:
    """The integrated autocorrelation time, in blocks; at least 1."""
    total = 0.0
    for lag in range(1, len(rest) // 2):
        correlation = float(rest[:-lag] @ rest[lag:]) / squares
        if correlation <= 0:
            break
        total += correlation
    return 1 + 2 * total


def _evidence(t: float, count: float) -> float:
    """The logarithm, against a mean of at most 0, of a t statistic of `count` observations."""
    part = t * t / (t * t + count - 1)
    both = 0.5 * math.log(_PRECISION / (_PRECISION + count))
    shrunk = count * part / (count + _PRECISION)
    both -= 0.5 * count * math.log1p(-shrunk)
    # The prior is of effects above 0 alone.
    upper = float(stdtr(count, math.sqrt(count * shrunk / max(1 - shrunk, 1e-12))))
    return both + math.log(2 * upper)
