"""The checks of one step: what was seen of the new version and of the champion in, findings out.

All are tests of means, made by sequential.py, so all may be looked at at any time:

- the error rate is a mean of 0 and 1;
- a quantile is above its limit where more than its share of the values is: the exceedances are 0 and 1 (Howard and
  Ramdas 2022, "Sequential estimation of quantiles with applications to A/B testing and best-arm identification");
- two distributions of scores are compared by their values at each bound of a histogram, both ways: the mean of these
  e-processes is one (Vovk and Wang 2021), against "nowhere further apart than allowed";
- a metric with a range is moved to 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from sailplane.records import Record
from sailplane.serving.rollout.declared import Check, ErrorRate, Latency, Metric, PredictionDrift
from sailplane.serving.rollout.observations import Feedback, Observations
from sailplane.serving.rollout.plan import Rollout
from sailplane.serving.rollout.sequential import Sample, difference, evidence_above, evidence_worse, interval

# So many times more evidence than is needed is no more worth telling.
_MOST: Final = 99.0
_NO_LESS: Final = -math.inf
Outcome = Literal["passed", "failed", "undecided"]


@dataclass(frozen=True)
class Seen:
    """At one step, of the new version and of the champion. `paired`: both answered the same requests; `over`: it is
    time to decide."""

    canary: Observations
    champion: Observations
    paired: bool = False
    over: bool = False


@dataclass(frozen=True, kw_only=True)
class Finding(Record):
    """What a check has found so far.

    :param count: of the new version's values
    :param estimate: what is limited: a share, or the difference from the champion
    :param low: it is at least that, with the confidence of the check, at every moment; of a comparison, which takes
        its time, it is told where something is decided
    :param high: and at most that
    :param champion: the champion's share or mean, where there is a comparison
    :param evidence: how far on the way to a failure, which is 1
    :param outcome: undecided for as long as the step goes on; then passed, if `count` is enough, and there is too
        little evidence
    """

    check: str
    count: int
    estimate: float | None
    limit: float
    low: float | None = None
    high: float | None = None
    champion: float | None = None
    evidence: float = 0.0
    outcome: Outcome = "undecided"
    reason: str = ""

    @property
    def failed(self) -> bool:
        return self.outcome == "failed"

    def __str__(self) -> str:
        """As `error rate against the champion: 0.0412 (0.0223 to 0.0633) of 480, expected at most 0.01`."""
        if self.reason or self.estimate is None:
            return f"{self.check}: {self.reason or 'nothing seen'}, expected at most {self.limit:g}"
        bounds = [f"{bound:.4f}" for bound in (self.low, self.high) if bound is not None]
        between = f" ({' to '.join(bounds)})" if bounds else ""
        return f"{self.check}: {self.estimate:.4f}{between} of {self.count}, expected at most {self.limit:g}"


def judge(plan: Rollout, seen: Seen, *, over: bool) -> tuple[Finding, ...]:
    """`over`: the time of the step is, so that what has not failed, and saw enough, is passed."""
    seen = replace(seen, over=over)
    # Nobody sees what a shadow answers, so that nothing is fed back on it.
    checks = [check for check in plan.checks if not (seen.paired and isinstance(check, Metric))]
    found = [finding for check in checks for finding in _findings(check, seen, plan.level)]
    return tuple(_decided(finding, enough=over and finding.count >= plan.min_requests) for finding in found)


def _decided(finding: Finding, *, enough: bool) -> Finding:
    outcome: Outcome = "failed" if finding.evidence >= 1 else "passed" if enough else "undecided"
    return replace(finding, outcome=outcome, evidence=round(min(max(finding.evidence, 0.0), _MOST), 4))


def _findings(check: Check, seen: Seen, level: float) -> Iterator[Finding]:
    match check:
        case ErrorRate():
            yield from _error_rate(check, seen, level)
        case Latency():
            yield from _latency(check, seen.canary, level)
        case PredictionDrift():
            yield _drift(check, seen, level)
        case Metric():
            yield _metric(check, seen, level)


def _error_rate(check: ErrorRate, seen: Seen, level: float) -> Iterator[Finding]:
    canary, champion = (Sample(one.requests, one.errors) for one in (seen.canary, seen.champion))
    level /= (check.maximum is not None) + (check.worse_by is not None)
    if check.maximum is not None:
        yield _above(check.name, canary, check.maximum, level)
    if check.worse_by is not None:
        yield _worse(f"{check.name} against the champion", canary, champion, check.worse_by, level, seen)


def _latency(check: Latency, canary: Observations, level: float) -> Iterator[Finding]:
    limits = check.limits
    for name, (share, limit) in limits.items():
        above = Sample(canary.latency.count, canary.latency.above(limit))
        told = f"latency {name}: share of answers above {limit * 1000:g} ms"
        yield _above(told, above, round(1 - share, 6), level / len(limits))


def _drift(check: PredictionDrift, seen: Seen, level: float) -> Finding:
    canary, champion = seen.canary.predictions, seen.champion.predictions
    comparable = bool(canary.count and champion.count and canary.bounds == champion.bounds)
    found = Finding(
        check=check.name, count=canary.count if comparable else 0, estimate=None, limit=float(check.maximum)
    )
    if not comparable:
        return found
    shares = [
        (Sample(canary.count, canary.up_to(place)), Sample(champion.count, champion.up_to(place)))
        for place in range(len(canary.bounds))
    ]
    evidence = _apart(shares, check.maximum, seen.paired) / math.log(1 / level)
    low, high = _distance(shares, level) if seen.over or evidence >= 1 else (None, None)
    estimate = max(abs(mine.mean - its.mean) for mine, its in shares)
    return replace(found, estimate=estimate, low=low, high=high, evidence=evidence)


def _apart(shares: Sequence[tuple[Sample, Sample]], tolerance: float, paired: bool) -> float:
    """The logarithm of the mean of the e-processes. One of shares that are no further apart than allowed adds less than
    its part of 1, and is left out, which only takes evidence away."""
    sides = [pair for mine, its in shares for pair in ((mine, its), (mine.mirrored(), its.mirrored()))]
    logs = [
        evidence_worse(mine, its, tolerance, paired=paired) for mine, its in sides if mine.mean - its.mean > tolerance
    ]
    most = max(logs, default=_NO_LESS)
    if not math.isfinite(most):
        return most
    return most + math.log(sum(math.exp(one - most) for one in logs)) - math.log(len(sides))


def _distance(shares: Sequence[tuple[Sample, Sample]], level: float) -> tuple[float, float]:
    """Of the distributions, by a confidence sequence for each share, all of them right together."""
    each = level / (2 * len(shares))
    bounds = [(interval(mine, each), interval(its, each)) for mine, its in shares]
    low = max(max(mine[0] - its[1], its[0] - mine[1]) for mine, its in bounds)
    return max(0.0, low), max(max(mine[1] - its[0], its[1] - mine[0]) for mine, its in bounds)


def _metric(check: Metric, seen: Seen, level: float) -> Finding:
    canary, champion = (one.feedback.get(check.metric, Feedback()) for one in (seen.canary, seen.champion))
    span = check.high - check.low
    found = Finding(
        check=f"{check.name}, worse than the champion's by",
        count=canary.count,
        estimate=None,
        limit=float(check.worse_by),
    )
    if any(one.count and not (check.low <= one.low and one.high <= check.high) for one in (canary, champion)):
        low, high = min(canary.low, champion.low), max(canary.high, champion.high)
        told = f"values from {low:g} to {high:g}, where {check.low:g} to {check.high:g} was declared"
        return replace(found, evidence=1.0, reason=told)
    mine, its = (_scaled(one, check) for one in (canary, champion))
    worse = _worse(found.check, mine, its, check.worse_by / span, level, seen)
    scaled = {name: value * span for name in ("estimate", "low", "high") if (value := getattr(worse, name)) is not None}
    mean = champion.total / champion.count if champion.count else None
    return replace(worse, **scaled, champion=mean, limit=found.limit)


def _scaled(one: Feedback, check: Metric) -> Sample:
    """To 0..1, of which less is better."""
    sample = Sample(one.count, (one.total - one.count * check.low) / (check.high - check.low))
    return sample.mirrored() if check.more_is_better else sample


def _above(name: str, sample: Sample, limit: float, level: float) -> Finding:
    low, high = interval(sample, level)
    return Finding(
        check=name,
        count=int(sample.count),
        estimate=sample.mean if sample.count else None,
        limit=float(limit),
        low=low,
        high=high,
        evidence=evidence_above(sample, limit) / math.log(1 / level) if sample.count else 0.0,
    )


def _worse(name: str, sample: Sample, other: Sample, tolerance: float, level: float, seen: Seen) -> Finding:
    both, paired = bool(sample.count and other.count), seen.paired
    evidence = evidence_worse(sample, other, tolerance, paired=paired) / math.log(1 / level)
    told = seen.over or evidence >= 1
    low, high = difference(sample, other, level, paired=paired) if told else (None, None)
    return Finding(
        check=name,
        # Without a champion's answers there is nothing to compare with.
        count=int(sample.count) if both else 0,
        estimate=sample.mean - other.mean if both else None,
        limit=float(tolerance),
        low=low,
        high=high,
        champion=other.mean if other.count else None,
        evidence=evidence,
    )
