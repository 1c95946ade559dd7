"""Judges one step: observations of the new version and of the champion in, findings out.

All checks are tests of means that are valid at any time (comparisons.py):

- the error rate is a mean of 0 and 1;
- a quantile is above its limit if more values than its share are: the exceedances are 0 and 1 (Howard and Ramdas 2022,
  "Sequential estimation of quantiles with applications to A/B testing and best-arm identification");
- two distributions of scores are compared at each bound of a histogram, in both directions: the mean of these
  e-processes is one too (Vovk and Wang 2021), against "nowhere further apart than allowed";
- a metric with a range is scaled to 0..1.

The part of a check's level that a step does not spend goes to the next step.
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

# Recorded evidence is clipped to this many times what a failure needs, in both directions.
_MOST: Final = 99.0
# Great harm to the latency counts only after this part of the step: before, it may be a stall at the beginning.
_STALLED: Final = 0.5


def judge(plan: Rollout, seen: Seen, *, over: bool) -> tuple[CheckResult, ...]:
    """The findings of all checks. `over`: the time of the step is over, so a check that has not failed, and has seen
    enough requests, is passed."""
    seen = replace(seen, over=over, level=plan.level, least=plan.min_requests)
    findings: list[CheckResult] = []
    index = 0
    for check in plan.checks:
        # Nobody sees a shadow's answers, so nobody gives feedback on them.
        if not (seen.paired and isinstance(check, Metric)):
            findings += _findings(check, replace(seen, index=index))
        index += width(check)
    return tuple(_decided(finding, enough=over and finding.count >= plan.min_requests) for finding in findings)


def concluded(findings: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    """Applies the tests that are looked at once: all checks have passed, and the step is about to."""
    return tuple(
        replace(finding, outcome="failed")
        if finding.level is not None and finding.p <= ONCE * finding.level
        else finding
        for finding in findings
    )


def carried(findings: Sequence[CheckResult]) -> dict[str, float]:
    """The level that a passed step leaves to the next one, by check. The evidence of all steps is one e-process: the
    unspent part of the level is multiplied by the evidence of the step, so it grows if the step counted against the
    version."""
    return {
        finding.check: (ANYTIME * finding.level) ** (1 - finding.evidence)
        for finding in findings
        if finding.level is not None
    }


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
    canary, champion = (Sample(version.requests, version.errors) for version in (seen.canary, seen.champion))
    seen = seen.shared((check.maximum is not None) + (check.worse_by is not None))
    if check.maximum is not None:
        yield above(check.name, canary, champion, check.maximum, seen)
    if check.worse_by is not None:
        yield worse(f"{check.name} against the champion", canary, champion, check.worse_by, seen)


def _latency(check: Latency, seen: Seen) -> Iterator[CheckResult]:
    limits = check.limits
    for index, (quantile, (share, limit)) in enumerate(limits.items()):
        latencies = (seen.canary.latency, seen.champion.latency)
        canary, champion = (Sample(latency.count, latency.above(limit)) for latency in latencies)
        name, allowed = f"latency {quantile}: share of answers above {limit * 1000:g} ms", round(1 - share, 6)
        gross = (1 + allowed) / 2 if seen.elapsed >= _STALLED else 1.0
        yield above(name, canary, champion, allowed, seen.shared(len(limits), index), gross=gross)


def _drift(check: PredictionDrift, seen: Seen) -> CheckResult:
    canary, champion = seen.canary.predictions, seen.champion.predictions
    comparable = bool(canary.count and champion.count and canary.bounds == champion.bounds)
    finding = CheckResult(
        check=check.name, count=canary.count if comparable else 0, estimate=None, limit=float(check.maximum)
    )
    if not comparable:
        return finding
    if seen.groups is not None:
        reason = "not compared at a step with sticky: the versions have different customers; a shadow compares them"
        return replace(finding, count=canary.count, reason=reason)
    shares = [
        (Sample(canary.count, canary.up_to(index)), Sample(champion.count, champion.up_to(index)))
        for index in range(len(canary.bounds))
    ]
    sides = [
        (mine, its, blocks.worse(quantity, check.maximum))
        for index, pair in enumerate(shares)
        for mine, its, quantity in _sides(*pair, seen.quantity(index))
        # Sides within the limit add less than their part of 1, so they are left out until something is decided.
        if seen.decided(canary.count) or mine.mean - its.mean > check.maximum
    ]
    estimate = max(abs(mine.mean - its.mean) for mine, its in shares)
    return _furthest(replace(finding, estimate=estimate, rule=_APART), sides, 2 * len(shares), seen)


_APART: Final = "fails if at any score the shares below it differ, in the same time, by more than the limit"


def _furthest(
    finding: CheckResult, sides: Sequence[tuple[Sample, Sample, blocks.BlockTest]], count: int, seen: Seen
) -> CheckResult:
    """Decides by the mean of the e-processes of `count` sides."""
    level = seen.level_of(finding.check)
    logs = [test.evidence for *_, test in sides]
    evidence = (float(np.logaddexp.reduce(logs)) - math.log(count)) / -math.log(ANYTIME * level) if sides else -math.inf
    shown = sides if seen.bounds_wanted(evidence, finding.count) else []
    waits = [
        hasty(test, partial(_exact, mine, its, finding.limit, seen), level / count, seen) for mine, its, test in shown
    ]
    share = ONCE if seen.over else ANYTIME
    reaches = [(test.mean, reach) for *_, test in shown if (reach := test.reach(share * level / count, once=seen.over))]
    # The side that fails first.
    mean, nearest = max(reaches, key=lambda side: side[0] - side[1], default=(None, None))
    return replace(
        finding,
        low=None if mean is None or nearest is None else max(0.0, mean - nearest),
        high=max((mean + reach for mean, reach in reaches), default=None),
        turns=None if nearest is None else finding.limit + nearest,
        evidence=evidence,
        p=min(1.0, count * min((test.p for *_, test in sides), default=1.0)),
        level=level,
        blocks=blocks.worse(seen.quantity(), 0.0).blocks,
        waits=any(waits),
    )


def _exact(mine: Sample, its: Sample, tolerance: float, seen: Seen) -> float:
    return evidence_worse(mine, its, tolerance, paired=seen.paired) if mine.mean - its.mean > tolerance else 0.0


def _sides(
    mine: Sample, its: Sample, quantity: NDArray[np.float64]
) -> Iterator[tuple[Sample, Sample, NDArray[np.float64]]]:
    yield mine, its, quantity
    mirrored = quantity.copy()
    mirrored[:, 2], mirrored[:, 4] = quantity[:, 1] - quantity[:, 2], quantity[:, 3] - quantity[:, 4]
    yield mine.mirrored(), its.mirrored(), mirrored


def _metric(check: Metric, seen: Seen) -> CheckResult:
    feedback = (seen.canary.feedback, seen.champion.feedback)
    canary, champion = (totals.get(check.metric, FeedbackTotals()) for totals in feedback)
    span = check.high - check.low
    name = f"{check.name}, worse than the champion's by"
    if any(each.count and not (check.low <= each.low and each.high <= check.high) for each in (canary, champion)):
        low, high = min(canary.low, champion.low), max(canary.high, champion.high)
        reason = f"values from {low:g} to {high:g}, where {check.low:g} to {check.high:g} was declared"
        limit = float(check.worse_by)
        return CheckResult(check=name, count=canary.count, estimate=None, limit=limit, evidence=1.0, reason=reason)
    mine, its = (scaled(totals, check) for totals in (canary, champion))
    # Feedback that names no customer may come from any of them.
    seen = replace(seen, anonymous=False)
    finding = worse(name, mine, its, check.worse_by / span, seen, _variance(canary, champion, span))
    in_its_unit = {
        name: value * span
        for name in ("estimate", "low", "high", "turns")
        if (value := getattr(finding, name)) is not None
    }
    mean = champion.total / champion.count if champion.count else None
    return replace(finding, **in_its_unit, champion=mean, limit=float(check.worse_by))


def _variance(canary: FeedbackTotals, champion: FeedbackTotals, span: float) -> float | None:
    """The variance of one value, on a scale of 0..1; None where a server of an earlier release counts no squares."""
    if any(each.total and not each.squares for each in (canary, champion)) or not (both := canary + champion).count:
        return None
    return max(both.squares / both.count - (both.total / both.count) ** 2, 1e-9 * span**2) / span**2
