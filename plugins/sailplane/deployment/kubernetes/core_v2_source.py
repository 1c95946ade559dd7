"""The counts of Seldon's agent in each pod of a Server: the calls of each Model by their code, and nothing else.

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
# An agent answers so if it cannot load a Model; calls of an unknown Model reach no agent. A server also answers so for
# an unknown path, which is the caller's fault, and affects all versions alike.
_NOT_LOADED: Final = frozenset({"404", "NotFound"})


class CoreV2Source(PodSource):
    container, port = "agent", 9006
    remedy = "It takes docker/kubernetes/access.yaml as it is now, and Servers as Seldon Core 2.6.0 makes them."

    def selector(self, _version: str) -> str:
        """The labels of all Servers: a Model moves between them, and no label shows where it is."""
        return "app=seldon-server"

    def counted(self, text: str, version: str) -> Observations:
        return calls(text, f"{object_name(self.name)}.experiment", version_name(self.name, version))


def calls(text: str, experiment: str, model: str) -> Observations:
    """The Model's calls by way of the Experiment, mirrored ones included. The golden rows call the Model directly."""
    found = parsed(text)
    codes = [(one.labels["code"], int(one.value)) for one in found if _is_call(one.name, one.labels, experiment, model)]
    errors = sum(count for code, count in codes if _is_error(code))
    answers = sum(count for code, count in codes if code == "OK" or (code.isdigit() and int(code) < 400))
    started = next((one.value for one in found if one.name == _STARTED), 0.0)
    return Observations(started=started, requests=answers + errors, errors=errors)


def _is_call(name: str, labels: dict[str, str], experiment: str, model: str) -> bool:
    """Inside, a Model's name ends with its generation: `house-prices-v0123456789ab_1`."""
    return name == _CALLS and labels["model"] == experiment and labels["model_internal"].rpartition("_")[0] == model


def _is_error(code: str) -> bool:
    return code in _FAILED | _NOT_LOADED or (code.isdigit() and int(code) >= 500)
