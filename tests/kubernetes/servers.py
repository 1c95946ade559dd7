"""Servers of Core v2: their pods, and the counts of Seldon's agent in each pod, in the form of 2.6.0.
https://github.com/SeldonIO/seldon-core/blob/v2.6.0/scheduler/pkg/metrics/agent.go"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from tests.kubernetes.objects import Objects
from tests.kubernetes.ownership import Writer
from tests.kubernetes.refusals import Refused
from tests.kubernetes.seldon import PODS

NAME, SPACE = "mlserver", "models"
_OF_ALL = ["server", "server_replica", "method_type"]
_LABELS = ["server", "server_replica", "model", "model_internal", "method_type", "code"]


class Agent(Collector):
    """An agent. `calls` are by the caller's name of the Model, the Model's own name, `rest` or `grpc`, and the code."""

    def __init__(self, replica: int) -> None:
        self.replica, self.started = str(replica), time.time()
        self.calls: Counter[tuple[str, str, str, str]] = Counter()

    def called(self, model: str, internal: str, code: str, method: str = "rest", times: int = 1) -> None:
        self.calls[model, internal, method, code] += times

    def collect(self) -> Iterator[Metric]:
        calls = CounterMetricFamily("seldon_model_infer", "A count of server inference calls", labels=_LABELS)
        seconds = CounterMetricFamily(
            "seldon_model_infer_seconds", "A sum of server inference call latencies", labels=_LABELS
        )
        of_all = CounterMetricFamily(
            "seldon_model_aggregate_infer", "A count of server inference calls (aggregate)", labels=_OF_ALL
        )
        for key, count in self.calls.items():
            calls.add_metric([NAME, self.replica, *key], count)
            seconds.add_metric([NAME, self.replica, *key], count * 0.004)
        for method in sorted({key[2] for key in self.calls}):
            count = sum(count for key, count in self.calls.items() if key[2] == method)
            of_all.add_metric([NAME, self.replica, method], count)
        told = "Start time of the process since unix epoch in seconds."
        yield from (calls, seconds, of_all, GaugeMetricFamily("process_start_time_seconds", told, self.started))

    def text(self) -> bytes:
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)


class Servers:
    """The pods of one Server, by name, each with its agent. `silent` pods do not answer."""

    def __init__(self, objects: Objects, replicas: int = 2) -> None:
        self.objects, self.agents = objects, dict[str, Agent]()
        self.silent: set[str] = set()
        for replica in range(replicas):
            self.start(replica)

    def start(self, replica: int) -> str:
        """Starts a new pod."""
        name = f"{NAME}-{replica}"
        self.agents[name] = Agent(replica)
        labels = {"app": "seldon-server", "seldon-server-name": NAME}
        status = {"containerStatuses": [{"name": one, "ready": True} for one in ("rclone", "agent", NAME)]}
        pod = {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": status}
        self.objects.create(PODS, SPACE, pod, Writer("kubelet"))
        return name

    def end(self, name: str) -> None:
        self.objects.delete(PODS, SPACE, name, {})

    def restart(self, name: str) -> None:
        """Restarts the pod's container; the pod stays the same."""
        self.agents[name] = Agent(int(self.agents[name].replica))

    def metrics(self, pod: str) -> tuple[int, bytes]:
        if pod in self.silent:
            raise Refused(503, f'error trying to reach service: dial tcp: connection refused by pod "{pod}"')
        return 200, self.agents[pod].text()
