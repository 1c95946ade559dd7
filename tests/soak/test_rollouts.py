"""How often a rollout rolls back a version that is not worse, and with how many requests it finds a worse one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from scipy.stats import norm

from sailplane.deployment.rollout.check_specs import ErrorRate, Metric
from sailplane.deployment.rollout.plan import Rollout
from tests.unit.deployment.rollout.simulated import PLAN, share_back
from tests.unit.deployment.rollout.traffic import Traffic, Version, both

DRAWS = 100
# Three standard errors of a share of 5% in this many draws.
MOST = 0.05 + 3 * math.sqrt(0.05 * 0.95 / DRAWS)
EQUAL = {
    "independent requests": Traffic(),
    "independent requests, 10 a second": Traffic(rate=10),
    "latency autocorrelated by 0.9": both(Traffic(), memory=0.9),
    "latency autocorrelated by 0.97": both(Traffic(), memory=0.97),
    "stalls of 1 to 20 s, each version one in 5 min": both(Traffic(), stalls=1 / 300),
    "stalls of 1 to 20 s, each version one a minute": both(Traffic(), stalls=1 / 60),
    "error bursts of 1 to 20 s, each version one in 5 min": both(Traffic(), bursts=1 / 300),
    "error bursts of 1 to 20 s, each version one a minute": both(Traffic(), bursts=1 / 60),
    "both slow for the same 30 s": Traffic(both_slow=True),
    "rewards of 1 in a hundred": both(Traffic(), reward=0.01, deviation=0.0),
    "rewards of 97 in a hundred": both(Traffic(), reward=0.97, deviation=0.0),
    "sticky, 500 uneven customers": Traffic(customers=500),
    "sticky, 500 uneven customers with errors, latencies and rewards of their own": Traffic(customers=500, apart=1.0),
    "the same, only a little apart": Traffic(customers=500, apart=0.3),
}
STICKY = Traffic(customers=500, apart=1.0)
# Without the shadow, which would find them first.
STICKY_PLAN = replace(PLAN, shadow=None, sticky="customer")
WORSE_FOR_ALL = {
    "10% of errors instead of 0.5%": Version(errors=0.1),
    "5% of answers above the limit of the p99 instead of 0.8%": Version(slow=0.05),
}
# As in the plan above: one check in one step.
LEVEL = 0.05 / 16
WORSE = {
    "errors of 2% doubled": (
        Traffic(canary=Version(errors=0.04), champion=Version(errors=0.02)),
        ErrorRate(worse_by=0),
    ),
    "errors of 2.5%, 0.5% more than 0.5% allowed": (
        Traffic(canary=Version(errors=0.025), champion=Version(errors=0.005)),
        ErrorRate(worse_by=0.005),
    ),
    "a reward 0.06 worse, 0.02 allowed": (
        Traffic(canary=Version(reward=0.44), champion=Version(reward=0.5)),
        Metric(metric="reward", worse_by=0.02),
    ),
    "a reward 0.03 worse, 0.02 allowed": (
        Traffic(canary=Version(reward=0.47), champion=Version(reward=0.5)),
        Metric(metric="reward", worse_by=0.02),
    ),
}


@pytest.mark.parametrize("name", EQUAL)
def test_a_version_that_is_not_worse_is_hardly_ever_taken_back(name: str) -> None:
    plan = replace(PLAN, sticky="customer") if EQUAL[name].customers else PLAN
    share = share_back(EQUAL[name], DRAWS, plan)
    print(f"equal versions taken back, {name} | {share:.1%} | {DRAWS}")
    assert share <= MOST


@pytest.mark.parametrize("name", WORSE_FOR_ALL)
def test_a_version_that_is_clearly_worse_for_different_customers_is_found(name: str) -> None:
    """Harm in proportion to a customer's own errors resembles differences between customers; more than half is
    found."""
    share = share_back(replace(STICKY, canary=WORSE_FOR_ALL[name]), DRAWS, STICKY_PLAN)
    print(f"found with sticky: {name} | {share:.0%} | {DRAWS}")
    assert share >= 0.5


@pytest.mark.parametrize("rate", [10, 20])
@pytest.mark.parametrize("name", WORSE)
def test_a_step_with_one_and_a_half_times_the_requests_of_a_fixed_test_finds_a_worse_version(
    name: str, rate: int
) -> None:
    traffic, check = WORSE[name]
    count = 1.5 * fixed(traffic, check)
    plan = Rollout(
        steps=[50, 100], bake=f"{count / (rate / 2):.0f}s", checks=[check], confidence=1 - LEVEL, too_few="pass"
    )
    share = share_back(replace(traffic, rate=rate), DRAWS, plan)
    print(f"found with {count:.0f} requests, {rate} a second: {name} | {share:.0%} | {DRAWS}")
    assert share >= 0.8 - 3 * math.sqrt(0.8 * 0.2 / DRAWS)


def fixed(traffic: Traffic, check: ErrorRate | Metric) -> float:
    """Returns the requests of each version with which one z-test at the same level finds the harm with 80% power."""
    canary, champion = traffic.canary, traffic.champion
    allowed = check.worse_by or 0.0
    if isinstance(check, Metric):
        variance, apart = canary.deviation**2 + champion.deviation**2, champion.reward - canary.reward
    else:
        variance = sum(one.errors * (1 - one.errors) for one in (canary, champion))
        apart = canary.errors - champion.errors
    return float((norm.isf(LEVEL) + norm.isf(0.2)) ** 2 * variance / (apart - allowed) ** 2)
