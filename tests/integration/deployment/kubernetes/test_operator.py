"""The small cluster's Seldon operator reports wrong states of a SeldonDeployment in the same cases as the real one."""

from __future__ import annotations

from kubernetes.client import CustomObjectsApi

from tests.integration.deployment.kubernetes.iris import MERGE, WHERE, Object, several
from tests.kubernetes_server import KubernetesServer


def test_the_operator_says_available_of_what_it_has_not_seen_yet(
    server: KubernetesServer, custom: CustomObjectsApi
) -> None:
    custom.create_namespaced_custom_object(*WHERE, several({"traffic": 100}))

    def status() -> Object:
        return dict(custom.get_namespaced_custom_object(*WHERE, "iris").get("status", {}))

    states = []
    for _ in range(3):
        server.seldon.look()
        states.append((status()["state"], status()["deploymentStatus"]))
    key, ready = "iris-p0-0-classifier", {"replicas": 1, "availableReplicas": 1}
    assert states == [("Creating", {}), ("Creating", {key: {"replicas": 1}}), ("Available", {key: ready})]
    two = {"spec": several({"traffic": 90}, {"traffic": 10})["spec"]}
    custom.patch_namespaced_custom_object(*WHERE, "iris", two, **MERGE)
    assert status()["state"] == "Available"
    assert "observedGeneration" not in status()
    assert server.seldon.routes == {"iris": {"p0": 100}}
    server.seldon.look()
    assert status()["state"] == "Creating"
    assert set(status()["deploymentStatus"]) == {key}
    server.seldon.look(2)
    assert (status()["state"], len(status()["deploymentStatus"])) == ("Available", 2)
    assert server.seldon.routes == {"iris": {"p0": 90, "p1": 10}}


def test_a_crashing_predictor_keeps_the_others_traffic_where_it_was(
    server: KubernetesServer, custom: CustomObjectsApi
) -> None:
    server.seldon.behaviour = {"p1": "crashing"}
    custom.create_namespaced_custom_object(*WHERE, several({"traffic": 100}))
    server.seldon.look(3)
    two = {"spec": several({"traffic": 90}, {"traffic": 10})["spec"]}
    custom.patch_namespaced_custom_object(*WHERE, "iris", two, **MERGE)
    server.seldon.look(5)
    assert custom.get_namespaced_custom_object(*WHERE, "iris")["status"]["state"] == "Creating"
    assert server.seldon.routes == {"iris": {"p0": 100}}
