"""Versions that are equal, or worse, in traffic of which the answers depend on each other."""

from __future__ import annotations

from dataclasses import replace

from sailplane.deployment.rollout.check_specs import ErrorRate, Latency
from sailplane.deployment.rollout.plan import Rollout
from tests.unit.deployment.rollout.simulated import roll_out, share_back
from tests.unit.deployment.rollout.traffic import Traffic, both

QUICK = Rollout(steps=[50, 100], bake="2m", checks=[ErrorRate(maximum=0.02), Latency(p99="50ms")], too_few="pass")
TRAFFIC = Traffic(rate=50)


def test_versions_that_are_both_slow_for_the_same_30_seconds_are_not_the_canarys_fault() -> None:
    assert share_back(replace(TRAFFIC, both_slow=True), 5, QUICK) == 0


def test_a_version_of_which_more_answers_are_slow_or_fail_is_back() -> None:
    for worse in (replace(TRAFFIC.canary, slow=0.2), replace(TRAFFIC.canary, errors=0.2)):
        assert all(roll_out(replace(TRAFFIC, canary=worse), QUICK, seed).back for seed in range(3))


def test_latencies_that_follow_each_other_roll_no_equal_version_back() -> None:
    assert share_back(both(TRAFFIC, memory=0.97), 5, QUICK) <= 0.2
