"""The answers of a phase, cut into blocks of time, and a test of their means that dependent answers do not mislead.

A slow disk or a failing neighbour makes answers that follow each other alike, so their number says too much. The test
takes the difference from the champion in the same block as one observation of unknown variance. What both versions
suffer at the same time cancels; what one suffers for a while counts as few observations. It is the anytime-valid t-test
of Wang and Ramdas 2024, "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance", with
two normal priors of the standardised effect. The number of blocks is divided by their integrated autocorrelation time
(the initial positive sequence of Geyer 1992, "Practical Markov chain Monte Carlo"). The test is approximate: it needs
blocks that are long against an interruption of one version.

The blocks vary at least as much as independent values would, so that few requests, or rare values, are no proof.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

if TYPE_CHECKING:
    from numpy.typing import NDArray

# At this number, neighbours are merged in pairs, and later blocks last twice as long: the state stays small, however
# long a phase is.
MOST: Final = 64
# A block that is tested has at least this many of the canary's answers.
REQUESTS: Final = 25.0
# With fewer blocks, or less time, there is no evidence: an interruption may have lasted for most of it.
LEAST: Final = 8
SECONDS: Final = 60.0
# The prior's precisions of the effect, in standard deviations of a block, and their weights: an effect that 60 blocks
# show, and one that eight do.
_PRIORS: Final = ((4.0, 0.75), (0.5, 0.25))


@dataclass(frozen=True)
class BlockTest:
    """`mean`: of the difference, in the same time; `spread`: its standard error; `independent`: so many independent
    blocks tell as much; `evidence`: the logarithm of the e-process, which may be looked at at any time; `p`: Student's
    p-value, which may be looked at once."""

    blocks: int
    mean: float = math.nan
    spread: float = math.nan
    independent: float = 0.0
    evidence: float = 0.0
    p: float = 1.0

    @property
    def enough(self) -> bool:
        """True if there are blocks enough for a test."""
        return self.independent > 0

    def reach(self, level: float, *, once: bool) -> float | None:
        """The distance of the mean from what is allowed at which the test fails at that level."""
        if not self.enough:
            return None
        if once:
            return self.spread * float(-stdtrit(self.independent - 1, level))

        def lacks(t: float) -> float:
            return _evidence(t, self.independent) - math.log(1 / level)

        return self.spread * float(brentq(lacks, 0.0, 1e6, xtol=1e-3)) if lacks(1e6) > 0 else None


def longer(blocks: Mapping[str, Any], seconds: float, added: Sequence[float]) -> Mapping[str, Any]:
    """The blocks and what came in the last `seconds`, as counts that add up. All blocks but the last one are equally
    long. They start over with another number of counts: the plan has changed."""
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


def _sum(one: Sequence[float], two: Sequence[float]) -> list[float]:
    return [mine + its for mine, its in zip(one, two, strict=True)]


def table(blocks: Mapping[str, Any]) -> NDArray[np.float64]:
    """[blocks, 1 + 4 * quantities]: the seconds, and of each quantity count and total of the canary and of the
    champion."""
    rows = blocks.get("rows", ())
    return np.array(rows, dtype=float) if rows else np.zeros((0, 1))


def counts(table: NDArray[np.float64], place: int) -> NDArray[np.float64]:
    """[blocks, 5]: the seconds, and the four numbers of the quantity at `place`."""
    if table.shape[1] < 5 + 4 * place:
        return np.zeros((0, 5))
    return np.asarray(table[:, [0, *range(1 + 4 * place, 5 + 4 * place)]])


def worse(found: NDArray[np.float64], tolerance: float, variance: float | None = None) -> BlockTest:
    """Against "in the same time the canary's mean is at most the champion's + `tolerance`".

    :param variance: of one value; None for values of 0 and 1, of which the mean tells it
    """
    merged = _merged(found, champion=True)
    if _few(merged):
        return BlockTest(len(merged))
    _, n, x, m, y = merged.T
    variance = of_binary((x.sum() + y.sum()) / (n.sum() + m.sum())) if variance is None else variance
    return _tested(x / n - y / m, tolerance, n * m / (n + m), variance)


def above(found: NDArray[np.float64], limit: float) -> BlockTest:
    """Against "the canary's mean is at most `limit`"."""
    merged = _merged(found, champion=False)
    if _few(merged):
        return BlockTest(len(merged))
    _, n, x, _, _ = merged.T
    return _tested(x / n, limit, n, of_binary(x.sum() / n.sum()))


def _few(merged: NDArray[np.float64]) -> bool:
    return len(merged) < LEAST or merged[:, 0].sum() < SECONDS


def of_binary(mean: float) -> float:
    """The variance of values of 0 and 1 with that mean, and the largest one of values between."""
    mean = min(max(mean, 1e-6), 1 - 1e-6)
    return mean * (1 - mean)


def _merged(found: NDArray[np.float64], *, champion: bool) -> NDArray[np.float64]:
    """Neighbours together until they have enough answers; what is left goes to the last block."""
    ends: list[int] = []
    mine = its = 0.0
    for place, (_, count, _, other, _) in enumerate(found.tolist()):
        mine, its = mine + count, its + other
        if mine >= REQUESTS and (its or not champion):
            ends.append(place + 1)
            mine = its = 0.0
    return np.add.reduceat(found, [0, *ends[:-1]], axis=0) if ends else np.zeros((0, 5))


def _tested(values: NDArray[np.float64], limit: float, weight: NDArray[np.float64], single: float) -> BlockTest:
    """`single`: the variance of one independent value. Blocks that are alike by chance vary less than its part of it,
    as those of a version on which nothing rare has come yet, and are not taken at their word."""
    blocks, share = len(values), weight / weight.sum()
    mean = float(share @ values)
    rest = share * (values - mean)
    variance = max(float(rest @ rest) * blocks / (blocks - 1), single / weight.sum(), 1e-18)
    alike = _alike(rest, variance)
    spread = math.sqrt(variance * alike)
    independent = max(blocks / alike, 2.0)
    return t_test(blocks, mean, spread, independent, limit)


def t_test(blocks: int, mean: float, spread: float, independent: float, limit: float) -> BlockTest:
    """Against "the mean is at most `limit`"."""
    t = (mean - limit) / spread
    return BlockTest(blocks, mean, spread, independent, _evidence(t, independent), float(stdtr(independent - 1, -t)))


def _alike(rest: NDArray[np.float64], squares: float) -> float:
    """The integrated autocorrelation time, in blocks; at least 1. It ends with a correlation that 5% of independent
    blocks show by chance."""
    total = 0.0
    for lag in range(1, len(rest) // 2):
        correlation = float(rest[:-lag] @ rest[lag:]) / squares
        if correlation <= 1.645 / math.sqrt(len(rest)):
            break
        total += correlation
    return 1 + 2 * total


def _evidence(t: float, count: float) -> float:
    """The logarithm, against a mean of at most 0, of a t statistic of `count` observations."""
    part = t * t / (t * t + count - 1)
    logs = [math.log(weight) + _with(prior, part, t, count) for prior, weight in _PRIORS]
    most = max(logs)
    return most + math.log(sum(math.exp(one - most) for one in logs))


def _with(precision: float, part: float, t: float, count: float) -> float:
    shrunk = count * part / (count + precision)
    both = 0.5 * math.log(precision / (precision + count)) - 0.5 * count * math.log1p(-shrunk)
    # The prior is of effects above 0 alone.
    place = math.copysign(math.sqrt(count * shrunk / max(1 - shrunk, 1e-12)), t)
    return both + math.log(max(2 * float(stdtr(count, place)), 1e-300))
