"""Equal and worse versions in traffic whose answers depend on each other."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sailplane.deployment.rollout.check_specs import ErrorRate, Latency, Metric
from sailplane.deployment.rollout.plan import Rollout
from tests.unit.deployment.rollout.simulated import roll_out, share_back
from tests.unit.deployment.rollout.traffic import Traffic, Version, both

QUICK = Rollout(steps=[50, 100], bake="2m", checks=[ErrorRate(maximum=0.02), Latency(p99="50ms")], too_few="pass")
TRAFFIC = Traffic(rate=50)
STICKY = Rollout(
    steps=[10, 50, 100],
    bake="2m",
    checks=[ErrorRate(maximum=0.02, worse_by=0.005), Latency(p99="50ms"), Metric(metric="reward", worse_by=0.02)],
    too_few="pass",
    sticky="customer",
)
CUSTOMERS = replace(TRAFFIC, customers=500, apart=1.0)
DRAWS = 20
# Three standard errors of a share of 5% in this many draws.
MOST = 0.05 + 3 * math.sqrt(0.05 * 0.95 / DRAWS)


@pytest.mark.slow
def test_versions_that_are_both_slow_for_the_same_30_seconds_are_not_the_canarys_fault() -> None:
    assert share_back(replace(TRAFFIC, both_slow=True), 5, QUICK) == 0


def test_a_version_of_which_more_answers_are_slow_or_fail_is_back() -> None:
    for worse in (replace(TRAFFIC.canary, slow=0.2), replace(TRAFFIC.canary, errors=0.2)):
        assert all(roll_out(replace(TRAFFIC, canary=worse), QUICK, seed).back for seed in range(3))


@pytest.mark.slow
def test_latencies_that_follow_each_other_roll_no_equal_version_back() -> None:
    assert share_back(both(TRAFFIC, memory=0.97), 5, QUICK) <= 0.2


@pytest.mark.slow
def test_versions_whose_customers_differ_in_errors_latency_and_rewards_are_hardly_ever_back() -> None:
    assert share_back(CUSTOMERS, DRAWS, STICKY) <= MOST


@pytest.mark.slow
@pytest.mark.parametrize(
    ("worse", "check"),
    [
        (Version(errors=0.1), "error rate"),
        (Version(slow=0.2), "latency p99"),
        (Version(reward=0.15), "metric reward"),
    ],
)
def test_a_version_that_is_clearly_worse_for_all_customers_is_back(worse: Version, check: str) -> None:
    found = [roll_out(replace(CUSTOMERS, canary=worse), STICKY, seed) for seed in range(5)]
    assert sum(one.back and one.state.reason.startswith(check) for one in found) >= 4


def test_a_version_that_always_fails_is_back_within_seconds_though_its_customers_are_few() -> None:
    failing = replace(CUSTOMERS, apart=0.0, canary=Version(errors=1.0))
    found = [roll_out(failing, STICKY, seed) for seed in range(5)]
    assert all(one.stage == "baking 0" for one in found)
    assert max(one.looks for one in found) < 30
