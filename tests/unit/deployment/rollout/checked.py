"""Observations of two versions, and what the checks of a step say about them."""

from __future__ import annotations

import json

import numpy as np

from sailplane.deployment.rollout import blocks
from sailplane.deployment.rollout.check_results import CheckResult
from sailplane.deployment.rollout.check_specs import Check
from sailplane.deployment.rollout.checks import concluded, judge
from sailplane.deployment.rollout.comparisons import Seen
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.quantities import quantities
from sailplane.serving.observations import PREDICTION_BOUNDS, FeedbackTotals, Histogram, Observations


def histogram(values: np.ndarray, bounds: tuple[float, ...] = PREDICTION_BOUNDS) -> Histogram:
    places = np.searchsorted(bounds, values, side="left")
    return Histogram(bounds=bounds, counts=tuple(np.bincount(places, minlength=len(bounds) + 1).tolist()))


def of(requests: int, errors: int = 0, **others: object) -> Observations:
    return Observations(requests=requests, errors=errors, **others)  # type: ignore[arg-type]


def rewards(count: int, mean: float) -> Observations:
    return of(count, feedback={"reward": FeedbackTotals(count=count, total=count * mean, low=0.0, high=1.0)})


def even(plan: Rollout, canary: Observations, champion: Observations, seconds: int = 40) -> np.ndarray:
    """Returns the same values for each of this many blocks."""
    row = [number / seconds for number in quantities(plan, canary, champion)]
    return blocks.table({"rows": [[5.0, *row]] * seconds})


def found(
    check: Check, canary: Observations, champion: Observations | None = None, **others: bool
) -> list[CheckResult]:
    plan = Rollout(steps=[10, 100], checks=[check])
    champion = champion or of(9 * canary.requests)
    seen = Seen(canary, champion, paired=others.pop("paired", False), blocks=even(plan, canary, champion))
    over = others.pop("over", True)
    findings = judge(plan, seen, over=over)
    if over and all(finding.outcome == "passed" for finding in findings):
        findings = concluded(findings)
    assert [CheckResult.from_dict(json.loads(json.dumps(one.to_dict(), allow_nan=False))) for one in findings] == [
        *findings
    ]
    return list(findings)


def outcomes(check: Check, canary: Observations, champion: Observations | None = None, **others: bool) -> list[str]:
    return [finding.outcome for finding in found(check, canary, champion, **others)]
