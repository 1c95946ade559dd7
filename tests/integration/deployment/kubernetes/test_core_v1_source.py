"""Counts of a version's pods, read through the API server. They are real counts of the class that runs in the pods."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sailplane.deployment.kubernetes.cluster import Cluster
from sailplane.deployment.kubernetes.core_v1 import CoreV1Target
from sailplane.deployment.kubernetes.core_v1_source import CoreV1Source
from sailplane.deployment.kubernetes.pod_source import LONGEST_GAP
from sailplane.deployment.kubernetes.workloads import CoreV1
from sailplane.errors import ServiceError
from sailplane.records import Model
from sailplane.serving.observations import Observations
from sailplane.serving.seldon.counts import SharedCounts
from tests.integration.deployment.kubernetes.conftest import NAME, V1
from tests.kubernetes.ownership import Writer
from tests.kubernetes.seldon import PODS
from tests.kubernetes_server import NAMESPACE, KubernetesServer


class Pods:
    """Two pods of one version, each with its own counts. `looked` looks a second after the last look."""

    def __init__(self, server: KubernetesServer, cluster: Cluster, opened: object, model: Model) -> None:
        self.server, self.version, self.now = server, model.version, 1000.0
        self.source = CoreV1Source(cluster, NAME, lambda: self.now)
        self.status = 200
        self.counts: dict[str, SharedCounts] = {}
        CoreV1Target(cluster, NAME, CoreV1(image=V1.image, replicas=2), opened).begin(model)  # type: ignore[arg-type]
        server.seldon.look(3)
        self.names = [pod["metadata"]["name"] for pod in server.objects.list(PODS)]
        for name in self.names:
            self.start(name)
        server.service = self.metrics

    def metrics(self, _path: str, headers: dict[str, str], _body: bytes) -> tuple[int, bytes]:
        return self.status, self.counts[headers["pod"]].text().encode() if self.status == 200 else b"not now"

    def start(self, name: str) -> None:
        self.counts[name] = SharedCounts(NAME, self.version)

    def answer(self, place: int, status: int = 200, times: int = 1) -> None:
        for _ in range(times):
            self.counts[self.names[place]].answered(status, 0.01, None)

    def observed(self, after: float = 1.0) -> Observations:
        self.now += after
        return self.source.observed(self.version)


@pytest.fixture
def pods(server: KubernetesServer, cluster: Cluster, opened: Callable[[str], object], models: list[Model]) -> Pods:
    return Pods(server, cluster, opened, models[0])


def counted(seen: Observations) -> tuple[int, int]:
    assert seen.latency.count >= seen.requests
    return seen.requests, seen.errors


def test_what_all_pods_answer_is_added_up_from_the_first_look_on(pods: Pods) -> None:
    pods.answer(0, times=7)
    assert counted(pods.observed()) == (0, 0)
    pods.answer(0, times=3)
    pods.answer(1, 500, times=2)
    pods.answer(1, 400)
    assert counted(pods.observed()) == (5, 2)
    pods.answer(1, 422)
    assert counted(pods.observed()) == (6, 3)


def test_a_server_that_was_started_again_is_counted_from_its_start(pods: Pods) -> None:
    pods.answer(0, times=5)
    first = pods.observed()
    pods.answer(0, times=5)
    pods.observed()
    pods.start(pods.names[0])
    pods.answer(0, times=2)
    seen = pods.observed()
    assert counted(seen) == (7, 0)
    assert seen.started == first.started
    assert counted(seen.since(first)) == (7, 0)


def test_a_pod_that_comes_counts_from_the_first_look_at_it_and_one_that_went_keeps_its_part(pods: Pods) -> None:
    pods.observed()
    pods.answer(0, times=5)
    pods.observed()
    gone = pods.server.objects.get(PODS, NAMESPACE, pods.names[0])
    pods.server.objects.delete(PODS, NAMESPACE, pods.names[0], {})
    pods.answer(1)
    assert counted(pods.observed()) == (6, 0)
    metadata = {"name": "another", "labels": gone["metadata"]["labels"]}
    pods.server.objects.create(PODS, NAMESPACE, {**gone, "metadata": metadata}, Writer("kubelet"))
    pods.start("another")
    pods.names.append("another")
    pods.answer(2, times=100)
    assert counted(pods.observed()) == (6, 0)
    pods.answer(2)
    assert counted(pods.observed()) == (7, 0)


def test_after_a_gap_in_which_another_driver_may_have_looked_it_begins_anew(pods: Pods) -> None:
    first = pods.observed()
    pods.answer(0, times=5)
    seen = pods.observed(LONGEST_GAP + 1)
    assert counted(seen) == (0, 0)
    assert seen.started > first.started
    pods.answer(0)
    assert counted(pods.observed()) == (1, 0)


def test_what_one_of_two_drivers_saw_is_not_counted_by_the_other_one_again(pods: Pods) -> None:
    other = CoreV1Source(pods.source.cluster, NAME, lambda: pods.now)
    before = pods.observed()
    pods.answer(0, times=5)
    first = other.observed(pods.version)
    pods.answer(0, times=2)
    assert counted(first.since(before)) == (0, 0)
    assert counted(other.observed(pods.version).since(first)) == (2, 0)


@pytest.mark.parametrize(("status", "told"), [(404, "docker/seldon image"), (503, ""), (403, "access.yaml")])
def test_a_pod_that_does_not_say_is_named_with_what_to_do(pods: Pods, status: int, told: str) -> None:
    pods.status = status
    with pytest.raises(ServiceError, match=rf"read the metrics of pod {pods.names[0]}: {status} not now\..*{told}"):
        pods.observed()


def test_a_pod_that_is_not_ready_is_not_asked(pods: Pods, server: KubernetesServer) -> None:
    pods.observed()
    server.seldon.behaviour = {f"v{pods.version}": "crashing"}
    server.seldon.look()
    pods.answer(1, times=3)
    before = len(server.asked)
    assert counted(pods.observed()) == (3, 0)
    assert [one for one in server.asked[before:] if "/proxy/" in one] == [
        f"GET /api/v1/namespaces/{NAMESPACE}/pods/{pods.names[1]}:9000/proxy/metrics"
    ]
