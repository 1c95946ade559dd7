"""The counts of Seldon's agent in each pod of a Server: only the calls of each Model, by code.

https://github.com/SeldonIO/seldon-core/blob/v2.6.0/scheduler/pkg/metrics/agent.go
"""

from __future__ import annotations

from typing import Final

from sailplane.deployment.kubernetes.core_v2_objects import version_name
from sailplane.deployment.kubernetes.names import object_name
from sailplane.deployment.kubernetes.pod_source import PodSource
from sailplane.deployment.prometheus import parsed
from sailplane.serving.observations import Observations

_CALLS: Final = "seldon_model_infer_total"
_STARTED: Final = "process_start_time_seconds"
# The codes of gRPC that are 5xx over REST: https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_FAILED: Final = frozenset({"Unknown", "DeadlineExceeded", "Unimplemented", "Internal", "Unavailable", "DataLoss"})
# An agent answers with these codes if it cannot load a Model; calls of an unknown Model reach no agent. A server also
# answers with them for an unknown path, which is the caller's fault and affects all versions alike.
_NOT_LOADED: Final = frozenset({"404", "NotFound"})


class CoreV2Source(PodSource):
    container, port = "agent", 9006
    remedy = "Use this version's docker/kubernetes/access.yaml, and the Servers of Seldon Core 2.6.0."

    def selector(self, _version: str) -> str:
        """The labels of all Servers: a Model moves between them, and no label shows where it is."""
        return "app=seldon-server"

    def counted(self, text: str, version: str) -> Observations:
        return calls(text, f"{object_name(self.name)}.experiment", version_name(self.name, version))


def calls(text: str, experiment: str, model: str) -> Observations:
    """The Model's calls through the Experiment, including mirrored ones. The golden rows do not count, because they are
    sent directly to the Model."""
    samples = parsed(text)
    calls = [sample for sample in samples if _is_call(sample.name, sample.labels, experiment, model)]
    codes = [(call.labels["code"], int(call.value)) for call in calls]
    errors = sum(count for code, count in codes if _is_error(code))
    answers = sum(count for code, count in codes if code == "OK" or (code.isdigit() and int(code) < 400))
    started = next((sample.value for sample in samples if sample.name == _STARTED), 0.0)
    return Observations(started=started, requests=answers + errors, errors=errors)


def _is_call(name: str, labels: dict[str, str], experiment: str, model: str) -> bool:
    """True for a sample that counts calls of the Model. Its internal name ends with the Model's generation:
    `house-prices-v0123456789ab_1`."""
    return name == _CALLS and labels["model"] == experiment and labels["model_internal"].rpartition("_")[0] == model


def _is_error(code: str) -> bool:
    return code in _FAILED | _NOT_LOADED or (code.isdigit() and int(code) >= 500)
