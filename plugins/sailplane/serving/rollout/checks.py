"""The checks of one step: what was seen of the new version and of the champion in, findings out.

All are tests of means that may be looked at at any time. A check fails only if two tests agree: that of sequential.py,
which is exact for requests that are independent of each other, and that of blocks.py, which dependent ones do not
mislead. Great harm needs no blocks: errors of 30% more than allowed, or half of the answers too slow after a quarter of
the step's time. A metric is tested by its blocks alone, which know its variance.

- the error rate is a mean of 0 and 1;
- a quantile is above its limit where more than its share of the values is: the exceedances are 0 and 1 (Howard and
  Ramdas 2022, "Sequential estimation of quantiles with applications to A/B testing and best-arm identification");
- two distributions of scores are compared by their values at each bound of a histogram, both ways: the mean of these
  e-processes is one (Vovk and Wang 2021), against "nowhere further apart than allowed";
- a metric with a range is moved to 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from sailplane.serving.rollout import blocks
from sailplane.serving.rollout.declared import Check, ErrorRate, Latency, Metric, PredictionDrift
from sailplane.serving.rollout.findings import Finding, Outcome
from sailplane.serving.rollout.observations import PREDICTION_BOUNDS, Feedback, Observations
from sailplane.serving.rollout.plan import Rollout
from sailplane.serving.rollout.sequential import Sample, difference, evidence_above, evidence_worse, interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# So many times more evidence than is needed is no more worth telling.
_MOST: Final = 99.0
# A version that fails 30% more of its requests than it may is found out before there are blocks to compare,
# and one of which half of the answers are too slow after a quarter of the step's time.
_GROSS: Final = 0.3
_STALLED: Final = 0.25
_NO_LESS: Final = -math.inf


@dataclass(frozen=True)
class Seen:
    """At one step, of the new version and of the champion. `paired`: both answered the same requests; `over`: it is
    time to decide; `blocks`: of the same answers (blocks.py), `elapsed`: the part of the step's time,
    `place`: of the check's first quantity in the blocks."""

    canary: Observations
    champion: Observations
    paired: bool = False
    over: bool = False
    blocks: Mapping[str, Any] = field(default_factory=dict)
    elapsed: float = 1.0
    place: int = 0
    sticky: bool = False

    def quantity(self, place: int = 0) -> NDArray[np.float64]:
        return blocks.counts(self.blocks, self.place + place)


def judge(plan: Rollout, seen: Seen, *, over: bool) -> tuple[Finding, ...]:
    """`over`: the time of the step is, so that what has not failed, and saw enough, is passed."""
    seen = replace(seen, over=over)
    found: list[Finding] = []
    place = 0
    for check in plan.checks:
        # Nobody sees what a shadow answers, so that nothing is fed back on it.
        if not (seen.paired and isinstance(check, Metric)):
            found += _findings(check, replace(seen, place=place, sticky=plan.sticky is not None), plan.level)
        place += _width(check)
    return tuple(_decided(finding, enough=over and finding.count >= plan.min_requests) for finding in found)


def quantities(plan: Rollout, canary: Observations, champion: Observations) -> list[float]:
    """What blocks keep, in the order of the checks: four numbers a quantity, count and total of each version."""
    pairs = [
        pair
        for check in plan.checks
        for pair in zip(*(_samples(check, one) for one in (canary, champion)), strict=True)
    ]
    return [float(number) for pair in pairs for one in pair for number in one]


def _width(check: Check) -> int:
    return len(_samples(check, Observations()))


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
            one = _scaled(seen.feedback.get(check.metric, Feedback()), check)
            return [(one.count, one.total)]


def _decided(finding: Finding, *, enough: bool) -> Finding:
    outcome: Outcome = "failed" if finding.evidence >= 1 else "passed" if enough else "undecided"
    return replace(finding, outcome=outcome, evidence=round(min(max(finding.evidence, 0.0), _MOST), 4))


def _findings(check: Check, seen: Seen, level: float) -> Iterator[Finding]:
    match check:
        case ErrorRate():
            yield from _error_rate(check, seen, level)
        case Latency():
            yield from _latency(check, seen, level)
        case PredictionDrift():
            yield _drift(check, seen, level)
        case Metric():
            yield _metric(check, seen, level)


def _error_rate(check: ErrorRate, seen: Seen, level: float) -> Iterator[Finding]:
    canary, champion = (Sample(one.requests, one.errors) for one in (seen.canary, seen.champion))
    level /= (check.maximum is not None) + (check.worse_by is not None)
    if check.maximum is not None:
        yield _above(check.name, canary, champion, check.maximum, level, seen, 0, check.maximum + _GROSS)
    if check.worse_by is not None:
        gross = evidence_above(canary, min(1.0, champion.mean + check.worse_by + _GROSS)) if champion.count else 0.0
        yield _worse(f"{check.name} against the champion", canary, champion, check.worse_by, level, seen, gross)


def _latency(check: Latency, seen: Seen, level: float) -> Iterator[Finding]:
    limits = check.limits
    for place, (name, (share, limit)) in enumerate(limits.items()):
        canary, champion = (Sample(one.latency.count, one.latency.above(limit)) for one in (seen.canary, seen.champion))
        told, allowed = f"latency {name}: share of answers above {limit * 1000:g} ms", round(1 - share, 6)
        # A stall of some seconds at the start of a step makes all answers slow.
        gross = (1 + allowed) / 2 if seen.elapsed >= _STALLED else 1.0
        yield _above(told, canary, champion, allowed, level / len(limits), seen, place, gross)


def _drift(check: PredictionDrift, seen: Seen, level: float) -> Finding:
    canary, champion = seen.canary.predictions, seen.champion.predictions
    comparable = bool(canary.count and champion.count and canary.bounds == champion.bounds)
    found = Finding(
        check=check.name, count=canary.count if comparable else 0, estimate=None, limit=float(check.maximum)
    )
    if not comparable:
        return found
    if seen.sticky and not seen.paired:
        told = "not compared at a step with sticky: the versions have different customers; a shadow compares them"
        return replace(found, count=canary.count, reason=told)
    shares = [
        (Sample(canary.count, canary.up_to(place)), Sample(champion.count, champion.up_to(place)))
        for place in range(len(canary.bounds))
    ]
    evidence = _apart(shares, check.maximum, seen) / math.log(1 / level)
    low, high = _distance(shares, level) if seen.over or evidence >= 1 else (None, None)
    estimate = max(abs(mine.mean - its.mean) for mine, its in shares)
    return replace(
        found,
        estimate=estimate,
        low=low,
        high=high,
        evidence=evidence,
        rule="fails if at any score the shares below it differ, in the same time, by more than the limit",
        level=level,
        blocks=blocks.worse(seen.quantity(), check.maximum).blocks,
    )


def _apart(shares: Sequence[tuple[Sample, Sample]], tolerance: float, seen: Seen) -> float:
    """The logarithm of the mean of the e-processes. One of shares that are no further apart than allowed adds less than
    its part of 1, and is left out, which only takes evidence away."""
    logs = [
        min(evidence_worse(mine, its, tolerance, paired=seen.paired), blocks.worse(found, tolerance).evidence)
        for place, pair in enumerate(shares)
        for mine, its, found in _sides(*pair, seen.quantity(place))
        if mine.mean - its.mean > tolerance
    ]
    most = max(logs, default=_NO_LESS)
    if not math.isfinite(most):
        return most
    return most + math.log(sum(math.exp(one - most) for one in logs)) - math.log(2 * len(shares))


def _sides(
    mine: Sample, its: Sample, found: NDArray[np.float64]
) -> Iterator[tuple[Sample, Sample, NDArray[np.float64]]]:
    yield mine, its, found
    mirrored = found.copy()
    mirrored[:, 2], mirrored[:, 4] = found[:, 1] - found[:, 2], found[:, 3] - found[:, 4]
    yield mine.mirrored(), its.mirrored(), mirrored


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
    worse = _worse(found.check, mine, its, check.worse_by / span, level, seen, None)
    scaled = {
        name: value * span
        for name in ("estimate", "low", "high", "turns")
        if (value := getattr(worse, name)) is not None
    }
    mean = champion.total / champion.count if champion.count else None
    return replace(worse, **scaled, champion=mean, limit=found.limit)


def _scaled(one: Feedback, check: Metric) -> Sample:
    """To 0..1, of which less is better."""
    sample = Sample(one.count, (one.total - one.count * check.low) / (check.high - check.low))
    return sample.mirrored() if check.more_is_better else sample


def _above(
    name: str,
    sample: Sample,
    other: Sample,
    limit: float,
    level: float,
    seen: Seen,
    place: int,
    gross: float,
) -> Finding:
    """A limit that the champion breaks in the same way is not the canary's fault: both must be so."""
    found, against = seen.quantity(place), other.count > 0
    tested = [blocks.above(found, limit), *([blocks.worse(found, 0.0)] if against else [])]
    exact = [evidence_above(sample, limit), *([_worse_than(sample, other, seen)] if against else [])]
    sudden = [evidence_above(sample, gross), *exact[1:]] if gross < 1 else [0.0]
    robust = max(min(one.evidence for one in tested), min(sudden))
    low, high = interval(sample, level)
    return Finding(
        check=name,
        count=int(sample.count),
        estimate=sample.mean if sample.count else None,
        limit=float(limit),
        low=low,
        high=high,
        champion=other.mean if against else None,
        evidence=min(*exact, robust) / math.log(1 / level) if sample.count else 0.0,
        rule="fails above the limit, if the champion is better in the same time",
        level=level,
        blocks=tested[0].blocks,
        turns=tested[0].turns(limit, level),
    )


def _worse_than(sample: Sample, other: Sample, seen: Seen) -> float:
    return evidence_worse(sample, other, 0.0, paired=seen.paired) if sample.mean > other.mean else 0.0


def _worse(
    name: str, sample: Sample, other: Sample, tolerance: float, level: float, seen: Seen, gross: float | None
) -> Finding:
    """`gross`: the evidence that needs no blocks; None for a metric, of which the blocks alone are tested."""
    both, paired = bool(sample.count and other.count), seen.paired
    tested = blocks.worse(seen.quantity(), tolerance, binary=gross is not None)
    found = tested.evidence
    if gross is not None:
        found = min(evidence_worse(sample, other, tolerance, paired=paired), max(tested.evidence, gross))
    evidence = found / math.log(1 / level)
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
        rule="fails if it is worse than the champion, in the same time, by more than the limit",
        level=level,
        blocks=tested.blocks,
        turns=tested.turns(tolerance, level) if told else None,
    )
