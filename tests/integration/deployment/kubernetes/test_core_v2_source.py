"""Counts of Seldon's agents for a version, read from the Servers' pods through the API server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sailplane.deployment.kubernetes.cluster import Cluster
from sailplane.deployment.kubernetes.core_v2_source import CoreV2Source
from sailplane.deployment.kubernetes.endpoint import serving
from sailplane.errors import ServiceError
from sailplane.ledger import Ledger
from sailplane.serving.observations import Observations
from sailplane.storage import Storage
from tests.integration.deployment.kubernetes.conftest import NAME, V2
from tests.kubernetes.ownership import Writer
from tests.kubernetes.seldon import PODS
from tests.kubernetes.servers import Agent, Servers
from tests.kubernetes_server import NAMESPACE, KubernetesServer

ONE, TWO = "111111111111", "222222222222"
EXPERIMENT = f"{NAME}.experiment"


class Looked:
    """Looks at the first version, a second after the last look."""

    def __init__(self, server: KubernetesServer, cluster: Cluster) -> None:
        self.servers, self.now = Servers(server.objects), 1000.0
        self.source = CoreV2Source(cluster, NAME, lambda: self.now)
        server.service = lambda _path, headers, _body: self.servers.metrics(headers["pod"])

    @property
    def agents(self) -> list[Agent]:
        return [*self.servers.agents.values()]

    def answer(self, place: int, code: str = "200", times: int = 1, version: str = ONE, method: str = "rest") -> None:
        self.agents[place].called(EXPERIMENT, f"{NAME}-v{version}_1", code, method, times)

    def observed(self) -> Observations:
        self.now += 1
        return self.source.observed(ONE)

    def counted(self) -> tuple[int, int]:
        seen = self.observed()
        return seen.requests, seen.errors


@pytest.fixture
def looked(server: KubernetesServer, cluster: Cluster) -> Looked:
    looked = Looked(server, cluster)
    looked.answer(0, times=7)
    assert looked.counted() == (0, 0), "what was before the first look"
    return looked


def test_the_calls_of_a_version_on_all_servers_are_added_up_over_rest_and_grpc(
    looked: Looked, server: KubernetesServer
) -> None:
    looked.answer(0, times=3)
    looked.answer(1, "500", times=2)
    looked.answer(1, "OK", method="grpc")
    looked.answer(0, "Unknown", method="grpc")
    before = len(server.asked)
    assert looked.counted() == (7, 3)
    asked = [f"GET /api/v1/namespaces/{NAMESPACE}/pods/mlserver-{place}:9006/proxy/metrics" for place in (0, 1)]
    assert server.asked[before:] == [f"GET /api/v1/namespaces/{NAMESPACE}/pods", *asked]


def test_what_other_models_on_the_same_pod_did_is_not_the_versions(looked: Looked) -> None:
    looked.answer(0, times=2)
    looked.answer(0, "500", times=5, version=TWO)
    for model in ("iris", f"{NAME}-v{ONE}0", f"another-{NAME}-v{ONE}"):
        looked.agents[0].called(EXPERIMENT, f"{model}_1", "500", times=5)
    looked.agents[0].called("iris.experiment", f"{NAME}-v{ONE}_1", "500", times=5)
    assert looked.counted() == (2, 0)


def test_who_asks_for_the_model_itself_as_the_golden_rows_do_is_not_counted(looked: Looked) -> None:
    looked.agents[0].called(f"{NAME}-v{ONE}", f"{NAME}-v{ONE}_1", "200", times=50)
    assert looked.counted() == (0, 0)


def test_a_model_that_is_loaded_anew_is_the_same_version(looked: Looked) -> None:
    looked.agents[0].called(EXPERIMENT, f"{NAME}-v{ONE}_12", "503", times=2)
    looked.answer(0)
    assert looked.counted() == (3, 2)


def test_an_agent_that_was_started_again_is_counted_from_its_start(looked: Looked) -> None:
    looked.answer(0, times=5)
    assert looked.counted() == (5, 0)
    looked.servers.restart("mlserver-0")
    # The counts are higher than before, so only the start time shows the restart.
    looked.answer(0, times=20)
    looked.answer(0, "500")
    assert looked.counted() == (26, 1)


def test_a_pod_that_comes_again_under_its_name_counts_from_the_first_look_at_it(looked: Looked) -> None:
    looked.answer(1, times=4)
    assert looked.counted() == (4, 0)
    looked.servers.end("mlserver-1")
    looked.answer(0)
    assert looked.counted() == (5, 0)
    looked.servers.start(1)
    looked.answer(1, "500", times=9)
    assert looked.counted() == (5, 0)
    looked.answer(1)
    assert looked.counted() == (6, 0)


def test_a_pod_that_does_not_answer_is_named_and_one_whose_agent_is_not_ready_is_not_asked(
    looked: Looked, server: KubernetesServer
) -> None:
    looked.servers.silent = {"mlserver-1"}
    with pytest.raises(ServiceError, match=r"read the metrics of pod mlserver-1: 503 .*refused"):
        looked.observed()
    status = {"containerStatuses": [{"name": "rclone", "ready": True}, {"name": "agent", "ready": False}]}
    server.objects.update(PODS, NAMESPACE, "mlserver-1", lambda now: {**now, "status": status}, Writer("kubelet"))
    looked.answer(0)
    assert looked.counted() == (1, 0)


def test_pods_that_belong_to_no_server_are_not_asked(looked: Looked, server: KubernetesServer) -> None:
    before = len(server.asked)
    status = {"containerStatuses": [{"name": "agent", "ready": True}]}
    other = {"metadata": {"name": "other", "labels": {"app": "other"}}, "spec": {}, "status": status}
    server.objects.create(PODS, NAMESPACE, other, Writer("kubelet"))
    assert looked.counted() == (0, 0)
    assert not [one for one in server.asked[before:] if re.search("/pods/other", one)]


def test_a_rollout_on_core_v2_is_handed_these_counts(
    looked: Looked, cluster: Cluster, ledger: Ledger, tmp_path: Path
) -> None:
    source = serving(cluster, NAME, V2, ledger, Storage(f"file://{tmp_path}")).source
    assert source.observed(ONE).requests == 0
    looked.answer(1, "500")
    assert source.observed(ONE).errors == 1
