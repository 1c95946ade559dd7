"""Which checks of a rollout there are counts for on a cluster. Imports nothing heavy: a DAG file is parsed with it."""

from __future__ import annotations

from sailplane.errors import ConfigurationError
from sailplane.serving.kubernetes.workloads import CoreV1, CoreV2
from sailplane.serving.rollout.declared import Metric
from sailplane.serving.rollout.plan import Rollout


def check_counted(plan: Rollout, workload: CoreV1 | CoreV2) -> None:
    """Raises ConfigurationError for a check of what nobody counts: what a Server of Core v2 counts, and of which Model,
    depends on who brought it; and what is fed back goes to any pod, whichever answered."""
    if plan.checks and isinstance(workload, CoreV2):
        got, expected = "checks with CoreV2", "checks=[]: its servers are not known to count by version"
        remedy = "Or serve it with CoreV1(image=...)."
        raise ConfigurationError("read the rollout's", "checks", got=got, expected=expected, remedy=remedy)
    if found := [check.name for check in plan.checks if isinstance(check, Metric)]:
        expected = "ErrorRate, Latency and PredictionDrift: what is fed back on a cluster is not counted by version"
        raise ConfigurationError("read the rollout's", "checks", got=found[0], expected=expected)
