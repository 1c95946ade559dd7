from __future__ import annotations

import json
from typing import Any

import pytest

from sailplane.deployment.rollout.check_specs import ErrorRate, Latency, Metric, PredictionDrift
from sailplane.deployment.rollout.plan import Rollout
from sailplane.deployment.rollout.state import State, Subject, split
from sailplane.deployment.target import TrafficSplit
from sailplane.errors import ConfigurationError

ALL = [
    ErrorRate(maximum=0.05, worse_by=0.01),
    Latency(p50="5ms", p99="50ms"),
    PredictionDrift(maximum=0.2),
    Metric(metric="reward", worse_by=0.1, low=-1, high=1),
]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"steps": []}, r"steps: \[\]; expected whole percents from 1 to 100"),
        ({"steps": 100}, "steps: 100; expected whole percents"),
        ({"steps": [0, 100]}, r"steps: \[0, 100\]; expected whole percents"),
        ({"steps": [0.5, 100]}, "steps: .*; expected whole percents"),
        ({"steps": [10, 101]}, "steps: .*; expected whole percents"),
        ({"steps": [10, 5, 100]}, "steps: .*; expected each step above the one before"),
        ({"steps": [10, 10, 100]}, "steps: .*; expected each step above the one before"),
        ({"steps": [1, 50]}, "steps: .*; expected 100 as the last one"),
        ({"bake": "5"}, "bake: '5'; expected a number and one of ms, s, m, h, d"),
        ({"bake": "0m"}, "bake: '0m'; expected a number and one of"),
        ({"bake": 300}, "bake: 300; expected a number and one of"),
        ({"bake": "5m "}, "bake: '5m '; expected"),
        ({"shadow": "soon"}, "shadow: 'soon'; expected"),
        ({"shadow": ""}, "shadow: ''; expected"),
        ({"extend": "-1m"}, "extend: '-1m'; expected"),
        ({"start": None}, "start: None; expected"),
        ({"on_failure": "ignore"}, "on_failure: 'ignore'; expected \"rollback\""),
        ({"too_few": "maybe"}, 'too_few: \'maybe\'; expected "fail" or "pass"'),
        ({"checks": ErrorRate()}, r"checks: ErrorRate\(.*\); expected a list"),
        ({"checks": ["ErrorRate"]}, "checks: 'ErrorRate'; expected each one of ErrorRate, Latency"),
        ({"checks": [ErrorRate]}, "checks: .*; expected each one of"),
        ({"confidence": 95}, "confidence: 95; expected a number from 0.5 to 0.9999"),
        ({"min_requests": 0}, "min_requests: 0; expected a whole number"),
        ({"sticky": ""}, "sticky: ''; expected the name of a field"),
        ({"sticky": 'a"b'}, "sticky: .*; expected the name of a field"),
        ({"sticky": ["a"]}, r"sticky: \['a'\]; expected the name of a field"),
        ({"min_requests": True}, "min_requests: True; expected a whole number"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_the_dag_is_parsed(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=f"read the rollout's {reason}"):
        Rollout(**arguments)


@pytest.mark.parametrize(
    ("check", "arguments", "reason"),
    [
        (ErrorRate, {"maximum": 2}, "ErrorRate's maximum: 2; expected a number from 0 to 1"),
        (ErrorRate, {"worse_by": "1%"}, "ErrorRate's worse_by: '1%'; expected a number from 0 to 1"),
        (Latency, {}, 'Latency: no limit; expected one or more of p50, p90, p95, p99, like p99="50ms"'),
        (Latency, {"p99": 50}, "Latency's p99: 50; expected a number and one of ms"),
        (PredictionDrift, {"maximum": float("nan")}, "PredictionDrift's maximum: nan; expected a number"),
        (Metric, {"metric": "", "worse_by": 0.1}, "Metric's metric: ''; expected the name"),
        (Metric, {"metric": "r", "worse_by": 0.1, "low": 1}, "Metric's low: 1; expected less than high, which is 1"),
        (Metric, {"metric": "r", "worse_by": 3}, "Metric's worse_by: 3; expected a number from 0 to 1"),
    ],
)
def test_a_check_that_cannot_be_meant_is_refused_too(check: Any, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check(**arguments)
    assert reason in str(refused.value)


def test_a_plan_comes_back_from_json_as_it_went() -> None:
    plan = Rollout(shadow="30s", steps=[5, 100], bake="90s", checks=ALL, too_few="pass", sticky="customer")
    assert Rollout.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_a_field_is_sticky_while_two_versions_share_the_traffic() -> None:
    plan = Rollout(shadow="1m", steps=[10, 100], sticky="customer")
    subject = Subject(name="flights", version="b", champion="a", endpoint="", owner="")
    assert split(plan, subject, State(phase="baking")) == TrafficSplit({"a": 90, "b": 10}, sticky="customer")
    assert split(plan, subject, State(phase="shadowing")) == TrafficSplit({"a": 100}, shadow="b")
    assert split(plan, subject, State(phase="promoting")) == TrafficSplit({"b": 100})


def test_lengths_of_time_are_seconds() -> None:
    plan = Rollout(shadow="1.5h", bake="500ms", extend="2d", start="10s", steps=[1, 100])
    assert (plan.shadow_seconds, plan.bake_seconds) == (5400, 0.5)
    assert (plan.extend_seconds, plan.start_seconds) == (172_800, 10)
    assert plan.longest_seconds == 10 + 5400 + 0.5 + 2 * 172_800


def test_all_checks_of_all_steps_share_what_may_go_wrong() -> None:
    assert Rollout(steps=[1, 10, 50, 100], checks=[ErrorRate()]).level == pytest.approx(0.05 / 3)
    assert Rollout(shadow="1m", steps=[1, 100], checks=ALL).level == pytest.approx(0.05 / 8)
    assert Rollout(steps=[100], checks=[]).level == pytest.approx(0.05)


def test_an_error_rate_of_which_nothing_is_said_may_be_a_hundredth_worse_than_the_champions() -> None:
    assert ErrorRate() == ErrorRate(worse_by=0.01)
    assert ErrorRate(maximum=0.1).worse_by is None
