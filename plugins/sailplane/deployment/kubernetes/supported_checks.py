"""The checks of a rollout that a cluster counts for. Imports nothing heavy, because DAG files import it."""

from __future__ import annotations

from typing import Final

from sailplane.deployment.kubernetes.workloads import CoreV1, CoreV2
from sailplane.deployment.rollout.check_specs import Check, Latency, Metric, PredictionDrift
from sailplane.deployment.rollout.plan import Rollout
from sailplane.errors import ConfigurationError

# For each kind of check without counts: the reason, and the remedy.
_Missing = dict[type[Check], tuple[str, str]]
_FEEDBACK: Final = ("feedback goes to any pod, not to the one that answered", 'Or serve it with target="local".')
_CORE_V1: Final = "Or serve it with CoreV1(image=...)."
_ON_CORE_V1: Final[_Missing] = {Metric: _FEEDBACK}
_ON_CORE_V2: Final[_Missing] = {
    Latency: ("Seldon's agent counts only the total time of a Model's answers", _CORE_V1),
    PredictionDrift: ("Seldon's agent counts calls, and does not read the answers", _CORE_V1),
    Metric: _FEEDBACK,
}


def check_counted(plan: Rollout, workload: CoreV1 | CoreV2) -> None:
    """Raises ConfigurationError for a check that has no counts by version on the cluster."""
    version, missing = (2, _ON_CORE_V2) if isinstance(workload, CoreV2) else (1, _ON_CORE_V1)
    allowed = "ErrorRate" if version == 2 else "ErrorRate, Latency or PredictionDrift"
    for check in plan.checks:
        if type(check) in missing:
            reason, remedy = missing[type(check)]
            got, expected = f"{check.name} with CoreV{version}", f"{allowed}: {reason}"
            raise ConfigurationError("read the rollout's", "checks", got=got, expected=expected, remedy=remedy)
