from __future__ import annotations

import pytest

from sailplane.deployment.kubernetes.supported_checks import check_counted
from sailplane.deployment.kubernetes.workloads import CoreV1, CoreV2
from sailplane.deployment.rollout.check_specs import Check, ErrorRate, Latency, Metric, PredictionDrift
from sailplane.deployment.rollout.plan import Rollout
from sailplane.errors import ConfigurationError

ONE, TWO = CoreV1(image="x"), CoreV2()
REWARD = Metric(metric="reward", worse_by=0.1)


@pytest.mark.parametrize(
    ("workload", "plan"),
    [
        (TWO, Rollout()),
        (TWO, Rollout(shadow="1m", checks=[ErrorRate(maximum=0.1), ErrorRate()])),
        (TWO, Rollout(checks=[])),
        (ONE, Rollout(checks=[ErrorRate(), Latency(p99="1s"), PredictionDrift()])),
    ],
    ids=["default", "errors", "none", "v1"],
)
def test_what_is_counted_is_accepted(workload: CoreV1 | CoreV2, plan: Rollout) -> None:
    check_counted(plan, workload)


@pytest.mark.parametrize(
    ("workload", "check", "told"),
    [
        (TWO, Latency(p99="1s"), r"latency with CoreV2; expected ErrorRate: .* total time of .*CoreV1\(image"),
        (
            TWO,
            PredictionDrift(),
            r"prediction drift with CoreV2; expected ErrorRate: .* does not read the answers.*CoreV1\(image",
        ),
        (TWO, REWARD, r'metric reward with CoreV2; expected ErrorRate: feedback goes to any pod.*target="local"'),
        (ONE, REWARD, r'reward with CoreV1; expected ErrorRate, Latency or PredictionDrift: .*target="local"'),
    ],
    ids=["latency", "drift", "metric", "v1"],
)
def test_what_nobody_counts_is_refused_with_the_reason_and_what_to_do(
    workload: CoreV1 | CoreV2, check: Check, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        check_counted(Rollout(checks=[ErrorRate(), check]), workload)
