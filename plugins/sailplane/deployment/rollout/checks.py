"""The checks of one step: what was seen of the new version and of the champion in, findings out.

All are tests of means that may be looked at at any time (comparisons.py):

- the error rate is a mean of 0 and 1;
- a quantile is above its limit where more than its share of the values is: the exceedances are 0 and 1 (Howard and
  Ramdas 2022, "Sequential estimation of quantiles with applications to A/B testing and best-arm identification");
- two distributions of scores are compared by their values at each bound of a histogram, both ways: the mean of these
  e-processes is one (Vovk and Wang 2021), against "nowhere further apart than allowed";
- a metric with a range is moved to 0..1.

The level of a check is spent where it is needed: what a step leaves of it goes to the next one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from sailplane.deployment.rollout import blocks
from sailplane.deployment.rollout.check_results import CheckResult, Outcome
from sailplane.deployment.rollout.check_specs import Check, ErrorRate, Latency, Metric, PredictionDrift
from sailplane.deployment.rollout.comparisons import ANYTIME, ONCE, Seen, above, hasty, worse
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.quantities import scaled, width
from sailplane.deployment.rollout.sequential import Sample, evidence_worse
from sailplane.serving.observations import FeedbackTotals

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Evidence is cut at so many times what is needed, either way.
_MOST: Final = 99.0
# Half of the answers are too slow after half of the step's time: no stall at its beginning.
_STALLED: Final = 0.5


def judge(plan: Rollout, seen: Seen, *, over: bool) -> tuple[CheckResult, ...]:
    """`over`: the time of the step is, so that what has not failed, and saw enough, is passed."""
    seen = replace(seen, over=over, level=plan.level, least=plan.min_requests)
    found: list[CheckResult] = []
    place = 0
    for check in plan.checks:
        # Nobody sees a shadow's answers, so nobody gives feedback on them.
        if not (seen.paired and isinstance(check, Metric)):
            found += _findings(check, replace(seen, place=place))
        place += width(check)
    return tuple(_decided(finding, enough=over and finding.count >= plan.min_requests) for finding in found)


def concluded(found: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    """Applies the tests that are looked at once, when all checks have passed and the step is about to."""
    return tuple(
        replace(one, outcome="failed") if one.level is not None and one.p <= ONCE * one.level else one for one in found
    )


def carried(found: Sequence[CheckResult]) -> dict[str, float]:
    """The level that a passed step leaves to the next one, by check. The evidence of all steps is one
    e-process: the part that was not spent at the end is multiplied by the evidence of the step, and so grows where the
    step spoke against the version."""
    return {one.check: (ANYTIME * one.level) ** (1 - one.evidence) for one in found if one.level is not None}


def _decided(finding: CheckResult, *, enough: bool) -> CheckResult:
    enough = enough and not finding.waits
    outcome: Outcome = "failed" if finding.evidence >= 1 else "passed" if enough else "undecided"
    return replace(finding, outcome=outcome, evidence=round(min(max(finding.evidence, -_MOST), _MOST), 4))


def _findings(check: Check, seen: Seen) -> Iterator[CheckResult]:
    match check:
        case ErrorRate():
            yield from _error_rate(check, seen)
        case Latency():
            yield from _latency(check, seen)
        case PredictionDrift():
            yield _drift(check, seen)
        case Metric():
            yield _metric(check, seen)


def _error_rate(check: ErrorRate, seen: Seen) -> Iterator[CheckResult]:
    canary, champion = (Sample(one.requests, one.errors) for one in (seen.canary, seen.champion))
    seen = seen.shared((check.maximum is not None) + (check.worse_by is not None))
    if check.maximum is not None:
        yield above(check.name, canary, champion, check.maximum, seen)
    if check.worse_by is not None:
        yield worse(f"{check.name} against the champion", canary, champion, check.worse_by, seen)


def _latency(check: Latency, seen: Seen) -> Iterator[CheckResult]:
    limits = check.limits
    for place, (name, (share, limit)) in enumerate(limits.items()):
        canary, champion = (Sample(one.latency.count, one.latency.above(limit)) for one in (seen.canary, seen.champion))
        told, allowed = f"latency {name}: share of answers above {limit * 1000:g} ms", round(1 - share, 6)
        gross = (1 + allowed) / 2 if seen.elapsed >= _STALLED else 1.0
        yield above(told, canary, champion, allowed, seen.shared(len(limits), place), gross=gross)


def _drift(check: PredictionDrift, seen: Seen) -> CheckResult:
    canary, champion = seen.canary.predictions, seen.champion.predictions
    comparable = bool(canary.count and champion.count and canary.bounds == champion.bounds)
    found = CheckResult(
        check=check.name, count=canary.count if comparable else 0, estimate=None, limit=float(check.maximum)
    )
    if not comparable:
        return found
    if seen.groups is not None:
        told = "not compared at a step with sticky: the versions have different customers; a shadow compares them"
        return replace(found, count=canary.count, reason=told)
    shares = [
        (Sample(canary.count, canary.up_to(place)), Sample(champion.count, champion.up_to(place)))
        for place in range(len(canary.bounds))
    ]
    sides = [
        (mine, its, blocks.worse(quantity, check.maximum))
        for place, pair in enumerate(shares)
        for mine, its, quantity in _sides(*pair, seen.quantity(place))
        # Sides within the limit add less than their part of 1: they are left out until something is decided.
        if seen.decided(canary.count) or mine.mean - its.mean > check.maximum
    ]
    estimate = max(abs(mine.mean - its.mean) for mine, its in shares)
    return _furthest(replace(found, estimate=estimate, rule=_APART), sides, 2 * len(shares), seen)


_APART: Final = "fails if at any score the shares below it differ, in the same time, by more than the limit"


def _furthest(
    found: CheckResult, sides: Sequence[tuple[Sample, Sample, blocks.BlockTest]], count: int, seen: Seen
) -> CheckResult:
    """Decides by the mean of the e-processes of `count` sides."""
    level = seen.level_of(found.check)
    logs = [one.evidence for _, _, one in sides]
    evidence = (float(np.logaddexp.reduce(logs)) - math.log(count)) / -math.log(ANYTIME * level) if sides else -math.inf
    told = sides if seen.bounds_wanted(evidence, found.count) else []
    waits = [hasty(one, partial(_exact, mine, its, found.limit, seen), level / count, seen) for mine, its, one in told]
    share = ONCE if seen.over else ANYTIME
    reaches = [(one.mean, reach) for *_, one in told if (reach := one.reach(share * level / count, once=seen.over))]
    # The side that fails first.
    mean, nearest = max(reaches, key=lambda one: one[0] - one[1], default=(None, None))
    return replace(
        found,
        low=None if mean is None or nearest is None else max(0.0, mean - nearest),
        high=max((mean + reach for mean, reach in reaches), default=None),
        turns=None if nearest is None else found.limit + nearest,
        evidence=evidence,
        p=min(1.0, count * min((one.p for _, _, one in sides), default=1.0)),
        level=level,
        blocks=blocks.worse(seen.quantity(), 0.0).blocks,
        waits=any(waits),
    )


def _exact(mine: Sample, its: Sample, tolerance: float, seen: Seen) -> float:
    return evidence_worse(mine, its, tolerance, paired=seen.paired) if mine.mean - its.mean > tolerance else 0.0


def _sides(
    mine: Sample, its: Sample, found: NDArray[np.float64]
) -> Iterator[tuple[Sample, Sample, NDArray[np.float64]]]:
    yield mine, its, found
    mirrored = found.copy()
    mirrored[:, 2], mirrored[:, 4] = found[:, 1] - found[:, 2], found[:, 3] - found[:, 4]
    yield mine.mirrored(), its.mirrored(), mirrored


def _metric(check: Metric, seen: Seen) -> CheckResult:
    canary, champion = (one.feedback.get(check.metric, FeedbackTotals()) for one in (seen.canary, seen.champion))
    span = check.high - check.low
    name = f"{check.name}, worse than the champion's by"
    if any(one.count and not (check.low <= one.low and one.high <= check.high) for one in (canary, champion)):
        low, high = min(canary.low, champion.low), max(canary.high, champion.high)
        told = f"values from {low:g} to {high:g}, where {check.low:g} to {check.high:g} was declared"
        limit = float(check.worse_by)
        return CheckResult(check=name, count=canary.count, estimate=None, limit=limit, evidence=1.0, reason=told)
    mine, its = (scaled(one, check) for one in (canary, champion))
    # Feedback without its customer may be of any.
    seen = replace(seen, anonymous=False)
    found = worse(name, mine, its, check.worse_by / span, seen, _variance(canary, champion, span))
    in_its_unit = {
        name: value * span
        for name in ("estimate", "low", "high", "turns")
        if (value := getattr(found, name)) is not None
    }
    mean = champion.total / champion.count if champion.count else None
    return replace(found, **in_its_unit, champion=mean, limit=float(check.worse_by))


def _variance(canary: FeedbackTotals, champion: FeedbackTotals, span: float) -> float | None:
    """The variance of one value, on a scale of 0..1; None where a server of an earlier release counts no squares."""
    if any(one.total and not one.squares for one in (canary, champion)) or not (both := canary + champion).count:
        return None
    return max(both.squares / both.count - (both.total / both.count) ** 2, 1e-9 * span**2) / span**2
