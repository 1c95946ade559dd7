"""The quantities that the checks count, for blocks.py and customers.py. Each has a count, and a total from 0 to the
count."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from sailplane.deployment.rollout.check_specs import Check, ErrorRate, Latency, Metric, PredictionDrift
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.sequential import Sample
from sailplane.serving.customer_groups import GROUPS
from sailplane.serving.observations import LATENCY_BOUNDS, PREDICTION_BOUNDS, FeedbackTotals, Observations

if TYPE_CHECKING:
    from numpy.typing import NDArray

    # Counts and totals, by group.
    Columns = tuple[NDArray[np.float64], NDArray[np.float64]]


def quantities(plan: Rollout, canary: Observations, champion: Observations) -> list[float]:
    """The counts that blocks keep, in the order of the checks: count and total of each version, for each quantity."""
    pairs = [
        pair
        for check in plan.checks
        for pair in zip(*(_samples(check, seen) for seen in (canary, champion)), strict=True)
    ]
    return [float(number) for pair in pairs for sample in pair for number in sample]


def by_group(plan: Rollout, canary: Observations, champion: Observations) -> NDArray[np.float64]:
    """An array [groups, 4 * quantities]: the `quantities` of each group of customers."""
    pairs = [
        pair
        for check in plan.checks
        for pair in zip(*(_columns(check, seen) for seen in (canary, champion)), strict=True)
    ]
    columns = [column for pair in pairs for counts_and_totals in pair for column in counts_and_totals]
    return np.stack(columns, axis=1) if columns else np.zeros((GROUPS, 0))


def width(check: Check) -> int:
    """The number of quantities that a check has."""
    return len(_samples(check, Observations()))


def scaled(totals: FeedbackTotals, check: Metric) -> Sample:
    """The feedback on a scale of 0..1, where less is better."""
    sample = Sample(totals.count, (totals.total - totals.count * check.low) / (check.high - check.low))
    return sample.mirrored() if check.more_is_better else sample


def _samples(check: Check, seen: Observations) -> list[tuple[float, float]]:
    match check:
        case ErrorRate():
            return [(seen.requests, seen.errors)]
        case Latency():
            return [(seen.latency.count, seen.latency.above(limit)) for _, limit in check.limits.values()]
        case PredictionDrift():
            scores = seen.predictions
            upto = (list(accumulate(scores.counts)) or [0])[: len(PREDICTION_BOUNDS)]
            upto += upto[-1:] * (len(PREDICTION_BOUNDS) - len(upto))
            return [(scores.count, total) for total in upto]
        case Metric():
            sample = scaled(seen.feedback.get(check.metric, FeedbackTotals()), check)
            return [(sample.count, sample.total)]


def _columns(check: Check, seen: Observations) -> list[Columns]:
    match check:
        case ErrorRate():
            return [(_array(seen.groups.requests), _array(seen.groups.errors))]
        case Latency():
            return [_slower(seen, limit) for _, limit in check.limits.values()]
        case PredictionDrift():
            # Only a shadow compares scores: there both versions answer the same customers.
            return [(_array(()), _array(()))] * len(PREDICTION_BOUNDS)
        case Metric():
            feedback = seen.feedback.get(check.metric, FeedbackTotals())
            counts = _array(feedback.counts)
            totals = np.clip((_array(feedback.totals) - counts * check.low) / (check.high - check.low), 0.0, counts)
            return [(counts, counts - totals if check.more_is_better else totals)]


def _slower(seen: Observations, limit: float) -> Columns:
    """The answers above the first bound that reaches the limit, like `Histogram.above`."""
    first = next((bound for bound in LATENCY_BOUNDS if bound >= limit), float("inf"))
    answers = {float(bound): _array(counts) for bound, counts in seen.groups.answers.items()}
    none = _array(())
    return sum(answers.values(), none), sum((counts for bound, counts in answers.items() if bound > first), none)


def _array(counts: Sequence[float]) -> NDArray[np.float64]:
    return np.array(counts, dtype=float) if counts else np.zeros(GROUPS)
