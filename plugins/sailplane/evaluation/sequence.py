"""A test, repeated after every day without end, of whether a pipeline is better than its champion.

An ordinary test at 5% that is repeated each day promotes an equal model sooner or later, even more so if its windows
overlap. Here each day counts once. The gain of a day is the metric of the pipeline's model minus that of the champion,
on the rows of that day. The gains make an e-process: a number that starts at 1. If the pipeline is never better, it
ever reaches 1/alpha with a probability of at most alpha (Ville 1939).

The e-process is the sequential t-test: a Bayes factor for the mean of normal values with an unknown variance, with the
right Haar prior on the variance and a half-normal prior on the standardized mean (Perez-Ortiz, Lardy, de Heide and
Gruenwald 2024, "E-statistics, group invariance and anytime-valid testing"; Wang and Ramdas 2024, "Anytime-valid t-tests
and confidence sequences for Gaussian means with unknown variance"). A mixture over the day on which the pipeline became
better, with the weights 1/(j(j+1)), detects an improvement even after a long time without one.

Assumption: the gains of the days are independent and normal. Heavier tails cost nothing, since the test is
self-normalized. Gains that depend on those of the day before, or that are skewed to the left, raise the rate of false
promotions; tests/soak/test_sequence.py measures by how much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.special import logsumexp, stdtr

# The standard deviation of the prior on the standardized mean: such a gain shows after three to twelve days.
_SCALE: Final = 1.0


def log_evidence(gains: Sequence[float]) -> float:
    """The logarithm of the e-process against "the pipeline is not better", after these days in order."""
    days = np.asarray(gains, dtype=np.float64)
    if not len(days):
        return 0.0
    # By first day: the sums of the gains, and of their squares, from that day to the last one.
    sums, squares = (np.cumsum(part[::-1])[::-1] for part in (days, days**2))
    first = np.arange(1, len(days) + 1)
    weights = 1 / (first * (first + 1))
    factors = _log_factor(len(days) - first + 1, sums, squares)
    # The share that is bet on later days is still worth 1.
    return float(logsumexp([*factors, 0.0], b=[*weights, 1 / (len(days) + 1)]))


def _log_factor(count: np.ndarray, total: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """The logarithm of the one-sided Bayes factor of the t-test, in closed form.

    With r = total / sqrt(squares), A = count + 1 / scale^2, and F the distribution function of Student's t with `count`
    degrees of freedom: 2 / (scale sqrt(A)) (1 - r^2 / A)^(-count / 2) F(r sqrt(count / (A - r^2))).
    """
    precision = count + 1 / _SCALE**2
    # Days without any difference carry no evidence: r is 0.
    ratio = np.divide(total, np.sqrt(squares), out=np.zeros(len(total)), where=squares > 0)
    below = stdtr(count, ratio * np.sqrt(count / (precision - ratio**2)))
    spread = -count / 2 * np.log1p(-(ratio**2) / precision)
    # After many losses `below` underflows to 0.
    with np.errstate(divide="ignore"):
        return np.asarray(math.log(2 / _SCALE) - np.log(precision) / 2 + spread + np.log(below))


def false_promotions(level: float) -> float:
    """The largest expected number of times that equal models take over, over any length of time: each champion is
    replaced by mistake with a probability of at most `level`, and so is each of its successors."""
    return level / (1 - level)
