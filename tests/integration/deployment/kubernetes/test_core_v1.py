from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from kubernetes.client import CustomObjectsApi

from sailplane.deployment.kubernetes.cluster import Cluster
from sailplane.deployment.kubernetes.core_v1 import CoreV1Target
from sailplane.deployment.kubernetes.workloads import CoreV1
from sailplane.deployment.target import TrafficSplit
from sailplane.errors import DeploymentError
from sailplane.records import Model
from tests.integration.deployment.kubernetes.conftest import NAME, V1
from tests.kubernetes.seldon import SELDON_DEPLOYMENTS, SERVICES
from tests.kubernetes_server import NAMESPACE, KubernetesServer

Server = KubernetesServer


def serve(server: Server, target: CoreV1Target, model: Model) -> None:
    target.begin(model)
    server.seldon.look(3)
    assert target.progress(model.version).state == "ready"
    target.move(TrafficSplit({model.version: 100}))
    server.seldon.look()


def found(server: Server) -> dict[str, Any]:
    return server.objects.get(SELDON_DEPLOYMENTS, NAMESPACE, NAME)


def test_a_first_version_starts_without_traffic_and_is_ready_when_its_pods_answer(
    server: Server, target: CoreV1Target, models: list[Model]
) -> None:
    one = models[0]
    assert target.split() == TrafficSplit({})
    target.begin(one)
    seen = [target.progress(one.version).state]
    for _ in range(3):
        server.seldon.look()
        seen.append(target.progress(one.version).state)
    assert seen == ["starting", "starting", "starting", "ready"]
    assert target.split() == TrafficSplit({})
    target.move(TrafficSplit({one.version: 100}))
    assert target.split() == TrafficSplit({one.version: 100})


def test_a_second_version_is_not_believed_to_be_available_when_the_first_is(
    server: Server, target: CoreV1Target, models: list[Model]
) -> None:
    one, two, _ = models
    serve(server, target, one)
    target.begin(two)
    assert found(server)["status"]["state"] == "Available"
    assert target.progress(two.version).state == "starting"
    server.seldon.look(2)
    assert target.progress(two.version).state == "starting"
    server.seldon.look()
    assert target.progress(two.version).state == "ready"
    assert server.seldon.routes == {NAME: {f"v{one.version}": 100}}


def test_a_whole_rollout_moves_the_traffic_and_deletes_what_it_replaced(
    server: Server, target: CoreV1Target, models: list[Model]
) -> None:
    one, two, _ = models
    serve(server, target, one)
    target.begin(two)
    server.seldon.look(3)
    target.move(TrafficSplit({one.version: 100}, shadow=two.version))
    server.seldon.look()
    assert (server.seldon.routes[NAME], server.seldon.mirrors[NAME]) == ({f"v{one.version}": 100}, f"v{two.version}")
    for weight in (1, 50, 100):
        split = TrafficSplit({one.version: 100 - weight, two.version: weight} if weight < 100 else {two.version: 100})
        target.move(split)
        server.seldon.look()
        assert target.split() == split
    target.stop(one.version)
    server.seldon.look()
    assert server.seldon.routes == {NAME: {f"v{two.version}": 100}}
    assert [one["metadata"]["name"] for one in server.objects.list(SERVICES)] == [f"flights-v{two.version}"]
    assert target.versions() == [two.version]


def test_every_verb_may_be_repeated(server: Server, target: CoreV1Target, models: list[Model]) -> None:
    one, two, _ = models
    serve(server, target, one)
    for verb in (
        lambda: target.begin(two),
        lambda: target.move(TrafficSplit({one.version: 90, two.version: 10})),
        lambda: target.move(TrafficSplit({one.version: 100})),
        lambda: target.stop(two.version),
    ):
        verb()
        once = found(server)
        verb()
        assert found(server) == once


def test_the_last_version_takes_the_object_along(server: Server, target: CoreV1Target, models: list[Model]) -> None:
    target.begin(models[0])
    target.stop(models[0].version)
    assert server.objects.list(SELDON_DEPLOYMENTS) == []
    assert target.split() == TrafficSplit({})
    assert target.progress(models[0].version).state == "failed"
    target.stop(models[0].version)
    target.move(TrafficSplit({}))


def test_every_write_asks_for_strict_fields(server: Server, target: CoreV1Target, models: list[Model]) -> None:
    serve(server, target, models[0])
    writes = [one for one in server.asked if one.startswith(("POST /apis", "PATCH", "PUT"))]
    assert len(writes) == len(server.strict) == 2


def test_a_version_that_scores_otherwise_is_failed_before_it_has_traffic(
    server: Server, target: CoreV1Target, models: list[Model]
) -> None:
    honest = server.service
    server.service = lambda path, headers, body: (200, honest(path, headers, body)[1].replace(b"0.", b"0.1"))
    target.begin(models[0])
    server.seldon.look(3)
    seen = target.progress(models[0].version)
    assert seen.state == "failed"
    assert "scores the golden rows differently" in seen.reason


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (503, b"no healthy upstream", "starting"),
        (500, b"executor: connection refused", "starting"),
        (400, b'{"status": {"info": "unknown field wind"}}', "failed"),
        (200, b"{}", "failed"),
        (200, b"<html>", "failed"),
        (200, b'{"data": {"ndarray": [[0.5]]}}', "failed"),
    ],
)
def test_what_its_own_service_says_decides(
    server: Server, target: CoreV1Target, models: list[Model], status: int, body: bytes, state: str
) -> None:
    server.service = lambda _path, _headers, _body: (status, body)
    target.begin(models[0])
    server.seldon.look(3)
    seen = target.progress(models[0].version)
    assert seen.state == state
    assert seen.reason


def test_a_service_may_be_asked_at_an_address_of_its_own(
    server: Server, cluster: Cluster, opened: Any, models: list[Model], service_at: str
) -> None:
    workload = CoreV1(image=V1.image, address=service_at + "/{namespace}/{service}")
    target = CoreV1Target(cluster, NAME, workload, opened)
    target.begin(models[0])
    server.seldon.look(3)
    assert target.progress(models[0].version).state == "ready"
    assert not [one for one in server.asked if "/proxy/" in one]


def test_somebody_elses_object_is_left_alone(
    server: Server, client: Any, target: CoreV1Target, models: list[Model]
) -> None:
    serve(server, target, models[0])
    custom = CustomObjectsApi(client)
    where = ("machinelearning.seldon.io", "v1", NAMESPACE, "seldondeployments", NAME)
    custom.patch_namespaced_custom_object(*where, {"metadata": {"annotations": None}})
    before = found(server)
    for verb in (lambda: target.begin(models[1]), target.split, lambda: target.stop(models[0].version)):
        with pytest.raises(DeploymentError, match="it was not made by Sailplane"):
            verb()
    assert found(server) == before


def test_two_models_whose_names_differ_by_a_sign_do_not_share_an_object(
    cluster: Cluster, opened: Any, models: list[Model]
) -> None:
    CoreV1Target(cluster, "a_b", V1, opened).begin(replace(models[0], name="a_b"))
    with pytest.raises(DeploymentError, match="it holds the model a_b"):
        CoreV1Target(cluster, "a-b", V1, opened).begin(replace(models[0], name="a-b"))


def test_a_version_that_does_not_come_is_failed_by_our_own_deadline(
    server: Server, cluster: Cluster, opened: Any, models: list[Model]
) -> None:
    server.seldon.behaviour = {f"v{models[0].version}": "stuck"}
    patient = CoreV1Target(cluster, NAME, V1, opened)
    patient.begin(models[0])
    server.seldon.look(5)
    assert patient.progress(models[0].version).state == "starting"
    hasty = CoreV1Target(cluster, NAME, CoreV1(image=V1.image, deadline=timedelta(microseconds=1)), opened)
    seen = hasty.progress(models[0].version)
    assert seen.state == "failed"
    assert "Seldon's operator has not made" in seen.reason
